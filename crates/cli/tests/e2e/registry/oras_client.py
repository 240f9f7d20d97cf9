"""Drives oras, the client of the project of that name: each call is one thing that its users do."""

import argparse
import json
import os
import sys
from dataclasses import asdict

import oras.client
import oras.oci
from oras.layout import NewLayout, NewLayoutFromRegistry


def client(arguments):
    """Without TLS, with the credentials that a login left."""
    made = oras.client.OrasClient(insecure=True, auth_backend=arguments.auth)
    if "target" in arguments:
        made.auth.load_configs(made.get_container(arguments.target))
    return made


def digest(response):
    return response.headers["Docker-Content-Digest"]


def subject(registry, name):
    """The descriptor of a manifest: of the bytes that the registry has."""
    container = registry.get_container(name)
    url = f"{registry.prefix}://{container.manifest_url()}"
    response = registry.do_request(url, "GET", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
    kind = response.headers["Content-Type"]
    return oras.oci.Subject(kind, digest(response), len(response.content))


def push(arguments):
    registry = client(arguments)
    about = subject(registry, arguments.subject) if arguments.subject else None
    response = registry.push(
        arguments.target,
        files=arguments.files,
        annotation_file=arguments.annotations,
        manifest_config=arguments.config,
        subject=about,
        do_chunked=arguments.chunked,
        chunk_size=100_000,
        quiet=True,
    )
    print(digest(response))


def artifact(arguments):
    """An artifact as the image specification has them since 1.1, by oras's single calls."""
    registry = client(arguments)
    container = registry.get_container(arguments.target)
    manifest = oras.oci.NewManifest()
    manifest["artifactType"] = arguments.type
    for name in arguments.files:
        layer = oras.oci.NewLayer(name, media_type="text/plain")
        layer["annotations"] = {"org.opencontainers.image.title": name}
        registry._check_200_response(registry.upload_blob(name, container, layer))
        manifest["layers"].append(layer)
    with open("empty.json", "w") as file:
        file.write("{}")
    config, _ = oras.oci.ManifestConfig("empty.json", "application/vnd.oci.empty.v1+json")
    registry._check_200_response(registry.upload_blob("empty.json", container, config))
    manifest["config"] = config
    if arguments.subject:
        manifest["subject"] = asdict(subject(registry, arguments.subject))
    response = registry.upload_manifest(manifest, container)
    registry._check_200_response(response)
    print(digest(response))


def pull(arguments):
    os.makedirs(arguments.directory, exist_ok=True)
    for path in sorted(client(arguments).pull(arguments.target, outdir=arguments.directory)):
        print(os.path.basename(path))


def tags(arguments):
    print("\n".join(sorted(client(arguments).get_tags(arguments.target))))


def manifest(arguments):
    print(json.dumps(client(arguments).get_manifest(arguments.target)))


def login(arguments):
    registry = client(arguments)
    # Without a docker daemon it writes the file itself.
    registry.login(arguments.user, sys.stdin.readline().strip(), hostname=arguments.host, config_path=arguments.file)


def layout_push(arguments):
    layout = NewLayout(arguments.directory)
    print(digest(layout.push_to_registry(client(arguments), arguments.target, tag=arguments.tag)))


def layout_pull(arguments):
    NewLayoutFromRegistry(arguments.directory, client(arguments), arguments.target, tag=arguments.tag)


def layout_blobs(arguments):
    print("\n".join(NewLayout(arguments.directory).get_ordered_blobs(arguments.tag)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--auth", default="token")
    commands = parser.add_subparsers(required=True)

    def command(run, *positional, **options):
        known = commands.add_parser(run.__name__.replace("_", "-"))
        for name in positional:
            known.add_argument(name, nargs="*" if name == "files" else None)
        for name, settings in options.items():
            known.add_argument(f"--{name}", **settings)
        known.set_defaults(run=run)

    about = {"subject": {}}
    command(push, "target", "files", annotations={}, config={}, chunked={"action": "store_true"}, **about)
    command(artifact, "target", "type", "files", **about)
    command(pull, "target", "directory")
    command(tags, "target")
    command(manifest, "target")
    command(login, "host", "user", "file")
    command(layout_push, "directory", "tag", "target")
    command(layout_pull, "target", "directory", "tag")
    command(layout_blobs, "directory", "tag")
    arguments = parser.parse_args()
    arguments.run(arguments)


main()
