//! Templates and what Go's text/template (1.22, with docker's functions) makes of them.

use super::*;
use serde_json::json;

fn image() -> Value {
    json!({
        "ID": "abc123", "Names": ["one:1", "two:2"], "Size": 4_260_000, "Ratio": 0.5, "Created": null, "Dangling": false,
        "Config": {"Env": ["A=1", "B=2"], "Labels": {"b.c": "2", "a": "1"}, "Cmd": null, "User": ""},
        "Layers": [{"Id": "l1", "Size": 1}, {"Id": "l2", "Size": 2}]
    })
}

fn made(template: &str) -> String {
    let template = Template::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
    template
        .with_maps(&["Labels"])
        .render(&image())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn wrong(template: &str) -> String {
    Template::parse(template)
        .and_then(|template| template.with_maps(&["Labels"]).render(&image()))
        .expect_err(template)
        .to_string()
}

#[test]
fn values_print_as_in_go() {
    for (template, expected) in [
        ("{{.ID}}", "abc123"),
        ("{{ .Config.Env }}", "[A=1 B=2]"),
        ("{{.Config.Labels}}", "map[a:1 b.c:2]"),
        ("{{.Created}}", "<no value>"),
        ("{{.Config.Labels.missing}}", "<no value>"),
        ("{{.Ratio}} {{.Size}} {{.Dangling}}", "0.5 4260000 false"),
        (
            "{{1e21}} {{1e20}} {{0x1F}} {{010}} {{1_000}} {{'a'}} {{-3}}",
            "1e+21 100000000000000000000 31 8 1000 97 -3",
        ),
        ("{{json .Names}}", r#"["one:1","two:2"]"#),
        ("{{json .Config.Cmd}}", "null"),
        ("{{print 1 2 \"x\" 3}}", "1 2x3"),
        ("{{println .ID 1}}", "abc123 1\n"),
        ("a\\tb\\n", "a\tb\n"),
        ("{{\"a\\tb\\u00e9\\x41\"}}{{`\\n`}}", "a\tbéA\\n"),
        ("{{.Layers}}", "[map[Id:l1 Size:1] map[Id:l2 Size:2]]"),
    ] {
        assert_eq!(made(template), expected, "{template}");
    }
}

#[test]
fn blocks() {
    for (template, expected) in [
        ("{{range .Names}}{{.}},{{end}}", "one:1,two:2,"),
        ("{{range $i, $n := .Names}}{{$i}}={{$n}} {{end}}", "0=one:1 1=two:2 "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a=1;b.c=2;"),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        (
            "{{range .Names}}{{break}}{{end}}{{range .Names}}{{continue}}x{{end}}-",
            "-",
        ),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{if .Dangling}}a{{else if .Config.User}}b{{else}}c{{end}}", "c"),
        ("{{if and .ID (not .Dangling)}}yes{{end}}", "yes"),
        ("{{with .Config}}{{len .Env}}{{$.ID}}{{end}}", "2abc123"),
        ("{{with .Created}}x{{else with .ID}}{{.}}{{end}}", "abc123"),
        ("{{$x := 1}}{{range .Names}}{{$x = .}}{{end}}{{$x}}", "two:2"),
        ("{{$x := .Config}}{{$x.Env}}", "[A=1 B=2]"),
        ("{{- /* nothing */ -}} a {{- \" b\" -}} c", "a bc"),
        ("a {{.ID -}} \n b", "a abc123b"),
        ("{{range .Layers}}{{.Id}}:{{.Size}} {{end}}", "l1:1 l2:2 "),
    ] {
        assert_eq!(made(template), expected, "{template}");
    }
}

#[test]
fn the_functions() {
    for (template, expected) in [
        ("{{index .Config.Labels \"b.c\"}}{{index .Names 1}}", "2two:2"),
        (
            "[{{index .Config.Labels \"no\"}}{{index .Config.Cmd \"no\"}}{{.Config.Labels \"no\"}}]",
            "[]",
        ),
        ("{{if eq (index .Config.Labels \"no\") \"\"}}none{{end}}", "none"),
        ("{{(index .Layers 1).Id}}", "l2"),
        ("{{.Config.Labels \"b.c\"}}", "2"),
        (
            "{{join .Names \", \"}}{{.Names | join \",\"}}",
            "one:1, two:2one:1,two:2",
        ),
        ("{{split \"a:b\" \":\"}}{{index (split .ID \"c\") 0}}", "[a b]ab"),
        ("{{upper .ID}}{{.ID | lower | title}}", "ABC123Abc123"),
        ("{{truncate .ID 3}}|{{pad .ID 1 2}}|", "abc| abc123  |"),
        ("{{slice .ID 1 3}}{{slice .Names 1}}", "bc[two:2]"),
        (
            "{{eq .ID \"x\" \"abc123\"}}{{ne 1 2}}{{lt 1 2}}{{le 2 2}}{{gt \"a\" \"b\"}}{{ge 1 2}}",
            "truetruetruetruefalsefalse",
        ),
        ("{{or .Created .ID}}{{and 1 0}}", "abc1230"),
        ("{{or true .NoSuchField}}", "true"),
        (
            "{{html \"<a&'>\"}}{{urlquery \"a b/c\"}}{{js \"it's\"}}",
            "&lt;a&amp;&#39;&gt;a+b%2Fcit\\'s",
        ),
        (
            "{{printf \"%-6s|%6.2f|%05d|%x|%q|%v|%%|%+d\" .ID 1.5 -42 255 \"a\" .Names 3}}",
            "abc123|  1.50|-0042|ff|\"a\"|[one:1 two:2]|%|+3",
        ),
        (
            "{{printf \"%d\" \"x\"}}{{printf \"%s\"}}{{printf \"x\" 1}}",
            "%!d(string=x)%!s(MISSING)x%!(EXTRA int=1)",
        ),
    ] {
        assert_eq!(made(template), expected, "{template}");
    }
}

#[test]
fn mistakes_say_where_and_what() {
    for (template, place, message) in [
        ("{{.Naems}}", "character 3", "no field .Naems (did you mean .Names?)"),
        ("x\n {{.Config.Usr}}", "line 2 character 11", "did you mean .User"),
        ("{{.ID.X}}", "character 6", ".ID is a text: it has no field .X"),
        ("{{.ID", "character 1", "no }}"),
        ("{{if .ID}}", "character 1", "no {{end}}"),
        ("{{end}}", "character 1", "ends nothing"),
        ("{{uper .ID}}", "character 3", "did you mean upper"),
        ("{{$x}}", "character 3", "no variable $x"),
        ("{{\"a}}", "character 3", "no \""),
        ("{{(.ID}}", "character 3", "no )"),
        ("{{.ID)}}", "character 6", "closes nothing"),
        ("{{}}", "character 1", "nothing between"),
        ("{{template \"x\"}}", "character 1", "isn't supported"),
        ("{{index .Names 5}}", "character 3", "the list has 2"),
        ("{{range .ID}}{{end}}", "character 9", "can't go over a text"),
        ("{{.ID | }}", "character", "missing here"),
        ("{{eq .ID 1}}", "character 3", "can't be compared"),
        ("{{break}}", "character 1", "belongs into a range"),
    ] {
        let error = wrong(template);
        assert!(error.contains(place) && error.contains(message), "{template}: {error}");
    }
    let deep = format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(wrong(&deep).contains("nested too deeply"));
    let blocks = "{{if 1}}".repeat(5000);
    assert!(wrong(&blocks).contains("nested too deeply"));
}

#[test]
fn tables() {
    let template =
        Template::parse("table {{.ID}}\\t{{.CreatedAt | upper}}\\t{{range .Names}}{{.}}{{end}}").expect("parsed");
    assert!(template.is_table());
    let headers = json!({"ID": "IMAGE ID"});
    let header = template.header(headers.as_object().expect("an object")).expect("made");
    assert_eq!(header, "IMAGE ID\tCREATED AT\tNAMES");
    assert_eq!(
        align("IMAGE ID\tA\tB\nabcdefghijkl\tx\ty\n"),
        "IMAGE ID       A         B\nabcdefghijkl   x         y\n"
    );
    assert!(!Template::parse("tables").expect("parsed").is_table());
}

#[test]
fn no_text_makes_it_panic() {
    const PARTS: [&str; 34] = [
        "{{", "}}", "{{-", "-}}", " ", ".", ".ID", "$", "$x", ":=", "=", "|", "(", ")", ",", "\"", "`", "'", "\\", "é",
        "range", "if", "else", "end", "with", "printf", "index", "%d", "0x", "1e", "9", "/*", "*/", "\n",
    ];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::from("{{");
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(PARTS[usize::try_from(state >> 33).expect("31 bits") % PARTS.len()]);
        }
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(&image());
            let _ = template.header(&Map::new());
        }
    }
}

#[test]
fn nothing_is_printed_by_the_name_of_its_field() {
    let value = json!({"Config": {"Cmd": null, "Labels": null, "User": null}, "Names": [null]});
    for (template, expected) in [
        (
            "{{.Config.Cmd}} {{.Config.Labels}} {{.Config.User}}",
            "[] map[] <no value>",
        ),
        ("{{with .Config}}{{.Cmd}}{{end}}{{$c := .Config}}{{$c.Cmd}}", "[][]"),
        (
            "{{json .Config.Cmd}} {{.Config.Cmd | json}} {{len .Config.Cmd}}",
            "null null 0",
        ),
        (
            "{{join .Config.Cmd \" \"}}|{{range .Config.Cmd}}x{{end}}|{{if .Config.Cmd}}x{{end}}|",
            "|||",
        ),
    ] {
        let parsed = Template::parse(template).expect("a template");
        let parsed = parsed.with_empty(&[("Cmd", "[]"), ("Labels", "map[]")]);
        assert_eq!(parsed.render(&value).expect("rendered"), expected, "{template}");
    }
}
