import sys

from jinja2 import Environment, FileSystemLoader

environment = Environment(loader=FileSystemLoader("/app"), autoescape=True)
print(environment.get_template("greeting.txt").render(name=sys.argv[1]))
