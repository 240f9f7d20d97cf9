//! Walks a template's tree with a value at hand.

use crate::parse::{Branch, BranchKind, Command, Node, Pipeline, Word, WordKind};
use crate::{Fault, Names, functions, print};
use serde_json::{Map, Value};

/// How much text a template may make: a loop in a loop in a loop shouldn't fill the memory.
const LONGEST: usize = 256 << 20;

/// One walk over a template.
#[derive(Debug)]
pub(crate) struct Evaluation {
    text: String,
    dot: Value,
    /// The innermost last; `$` is the first.
    variables: Vec<(String, Value)>,
    names: Names,
    /// The line above a table is made: values are names of columns.
    is_header: bool,
}

/// How a list of nodes ended.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Evaluation {
    pub(crate) fn new(value: &Value, names: Names) -> Self {
        Self {
            text: String::new(),
            dot: value.clone(),
            variables: vec![(String::new(), value.clone())],
            names,
            is_header: false,
        }
    }

    pub(crate) fn of_header(headers: &Map<String, Value>) -> Self {
        Self {
            is_header: true,
            ..Self::new(&Value::Object(headers.clone()), Names::default())
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    pub(crate) fn run(&mut self, nodes: &[Node]) -> Result<(), Fault> {
        self.nodes(nodes).map(drop)
    }

    fn nodes(&mut self, nodes: &[Node]) -> Result<Flow, Fault> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    self.text.push_str(text);
                    Flow::On
                }
                Node::Print(pipeline) => {
                    let value = self.pipeline(pipeline)?;
                    if pipeline.variables.is_empty() {
                        let empty = value.is_null().then(|| self.empty(pipeline)).flatten();
                        self.text
                            .push_str(&empty.map_or_else(|| print::value(&value), str::to_owned));
                    }
                    if self.text.len() > LONGEST {
                        return Err(Fault::new(pipeline.at, "this makes more than 256 MB of text"));
                    }
                    Flow::On
                }
                Node::Branch(branch) => self.branch(branch)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// How nothing is printed where a field alone is to be printed.
    fn empty(&self, pipeline: &Pipeline) -> Option<&'static str> {
        let [command] = pipeline.commands.as_slice() else {
            return None;
        };
        let [word] = command.words.as_slice() else {
            return None;
        };
        let (_, name) = word.fields.last()?;
        let known = self.names.empty.iter().find(|(known, _)| known == name);
        known.map(|(_, text)| *text)
    }

    /// Variables of a block end with it.
    fn branch(&mut self, branch: &Branch) -> Result<Flow, Fault> {
        let depth = self.variables.len();
        let flow = match branch.kind {
            BranchKind::Range => self.range(branch),
            BranchKind::If | BranchKind::With => self.choice(branch),
        };
        self.variables.truncate(depth);
        flow
    }

    fn choice(&mut self, branch: &Branch) -> Result<Flow, Fault> {
        let value = self.pipeline(&branch.pipeline)?;
        match (print::is_true(&value), branch.kind) {
            (false, _) => self.nodes(&branch.otherwise),
            (true, BranchKind::With) => self.with_dot(value, &branch.body),
            (true, _) => self.nodes(&branch.body),
        }
    }

    fn with_dot(&mut self, dot: Value, body: &[Node]) -> Result<Flow, Fault> {
        let before = std::mem::replace(&mut self.dot, dot);
        let flow = self.nodes(body);
        self.dot = before;
        flow
    }

    fn range(&mut self, branch: &Branch) -> Result<Flow, Fault> {
        let value = self.commands(&branch.pipeline)?;
        let items = match items(value, self.is_header) {
            Ok(items) => items,
            Err(kind) => return Err(Fault::new(branch.pipeline.at, format!("range can't go over {kind}"))),
        };
        if items.is_empty() {
            return self.nodes(&branch.otherwise);
        }
        let names = &branch.pipeline.variables;
        let depth = self.variables.len();
        for (key, item) in items {
            let declares = branch.pipeline.declares;
            match names.as_slice() {
                [] => {}
                [one] => self.set(one, item.clone(), declares, branch.pipeline.at)?,
                [first, second, ..] => {
                    self.set(first, key, declares, branch.pipeline.at)?;
                    self.set(second, item.clone(), declares, branch.pipeline.at)?;
                }
            }
            let flow = self.with_dot(item, &branch.body)?;
            self.variables.truncate(depth);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn set(&mut self, name: &str, value: Value, declares: bool, at: usize) -> Result<(), Fault> {
        if declares {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, place)) => *place = value,
            None => return Err(unknown_variable(name, at)),
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Result<Value, Fault> {
        let value = self.commands(pipeline)?;
        if let Some(name) = pipeline.variables.first() {
            self.set(name, value.clone(), pipeline.declares, pipeline.at)?;
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline) -> Result<Value, Fault> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last)?);
        }
        Ok(last.unwrap_or_default())
    }

    fn command(&mut self, command: &Command, last: Option<Value>) -> Result<Value, Fault> {
        let Some((first, arguments)) = command.words.split_first() else {
            return Ok(Value::Null);
        };
        let WordKind::Function(name) = &first.kind else {
            return self.value_with(first, arguments, last);
        };
        let value = if matches!(name.as_str(), "and" | "or") {
            self.shortcut(first.at, name, arguments, last)?
        } else {
            let mut values = self.words(arguments)?;
            values.extend(last);
            functions::call(name, values, self.is_header).map_err(|message| Fault::new(first.at, message))?
        };
        self.fields(value, &first.fields)
    }

    fn words(&mut self, words: &[Word]) -> Result<Vec<Value>, Fault> {
        words.iter().map(|word| self.word(word)).collect()
    }

    /// A value; with words behind it what they lead to in it.
    fn value_with(&mut self, first: &Word, arguments: &[Word], last: Option<Value>) -> Result<Value, Fault> {
        let value = self.word(first)?;
        let mut values = self.words(arguments)?;
        values.extend(last);
        if values.is_empty() {
            return Ok(value);
        }
        if first.fields.is_empty() {
            return Err(Fault::new(
                first.at,
                "only a function takes arguments, and this is a value",
            ));
        }
        values.insert(0, value);
        functions::call("index", values, self.is_header).map_err(|message| Fault::new(first.at, message))
    }

    /// `and` and `or` look no further than they have to.
    fn shortcut(&mut self, at: usize, name: &str, arguments: &[Word], last: Option<Value>) -> Result<Value, Fault> {
        let stops_at = name == "or";
        let mut value = None;
        for argument in arguments {
            let found = self.word(argument)?;
            if print::is_true(&found) == stops_at {
                return Ok(found);
            }
            value = Some(found);
        }
        last.or(value)
            .ok_or_else(|| Fault::new(at, format!("{name} needs something to compare")))
    }

    fn word(&mut self, word: &Word) -> Result<Value, Fault> {
        let value = match &word.kind {
            // Only what is asked for is copied.
            WordKind::Dot => return self.fields_of(&self.dot, &word.fields),
            WordKind::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) = found.ok_or_else(|| unknown_variable(name, word.at))?;
                return self.fields_of(value, &word.fields);
            }
            WordKind::Literal(value) => value.clone(),
            WordKind::Function(name) => {
                functions::call(name, Vec::new(), self.is_header).map_err(|message| Fault::new(word.at, message))?
            }
            WordKind::Pipeline(pipeline) => self.pipeline(pipeline)?,
        };
        self.fields(value, &word.fields)
    }

    fn fields(&self, value: Value, fields: &[(usize, String)]) -> Result<Value, Fault> {
        if fields.is_empty() {
            Ok(value)
        } else {
            self.fields_of(&value, fields)
        }
    }

    fn fields_of(&self, value: &Value, fields: &[(usize, String)]) -> Result<Value, Fault> {
        let mut found = value;
        let mut above = "";
        for (number, (at, name)) in fields.iter().enumerate() {
            found = match found {
                Value::Object(map) => match map.get(name) {
                    Some(value) => value,
                    None if self.is_header => return Ok(Value::String(capitals(&fields[fields.len() - 1].1))),
                    None if self.names.maps.contains(&above) => return Ok(Value::Null),
                    None => return Err(no_field(*at, name, map)),
                },
                _ if self.is_header => return Ok(Value::String(capitals(&fields[fields.len() - 1].1))),
                Value::Null => return Ok(Value::Null),
                other => {
                    let before = if number == 0 {
                        "the value here".to_owned()
                    } else {
                        format!(".{above}")
                    };
                    let kind = print::kind(other);
                    return Err(Fault::new(*at, format!("{before} is {kind}: it has no field .{name}")));
                }
            };
            above = name;
        }
        Ok(found.clone())
    }
}

/// What a range goes over: the key and the value of each.
fn items(value: Value, is_header: bool) -> Result<Vec<(Value, Value)>, &'static str> {
    match value {
        Value::Array(values) => Ok(values
            .into_iter()
            .enumerate()
            .map(|(index, value)| (Value::from(index), value))
            .collect()),
        Value::Object(map) => {
            let mut items: Vec<(String, Value)> = map.into_iter().collect();
            items.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(items
                .into_iter()
                .map(|(key, value)| (Value::String(key), value))
                .collect())
        }
        Value::Null => Ok(Vec::new()),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            let count = number.as_i64().unwrap_or(i64::MAX).min(1_000_000);
            Ok((0..count).map(|n| (Value::from(n), Value::from(n))).collect())
        }
        Value::String(_) if is_header => Ok(vec![(Value::Null, value)]),
        other => Err(print::kind(&other)),
    }
}

fn unknown_variable(name: &str, at: usize) -> Fault {
    Fault::new(at, format!("there is no variable ${name}"))
}

/// A field that isn't there, with the one that was probably meant, or all that there are.
fn no_field(at: usize, name: &str, map: &Map<String, Value>) -> Fault {
    let names = || map.keys().map(String::as_str);
    let hint = match wiac_suggest::nearest(name, names()) {
        Some(nearest) => format!(" (did you mean .{nearest}?)"),
        None if map.is_empty() => "; there is none".to_owned(),
        None => {
            let all: Vec<String> = names().map(|name| format!(".{name}")).collect();
            format!("; there are {}", all.join(" "))
        }
    };
    Fault::new(at, format!("no field .{name}{hint}"))
}

/// A column's name made of a field's: `CreatedAt` → `CREATED AT`, `ImageID` → `IMAGE ID`.
fn capitals(name: &str) -> String {
    let mut words = String::new();
    let mut previous_is_lower = false;
    for character in name.chars() {
        if character.is_uppercase() && previous_is_lower {
            words.push(' ');
        }
        previous_is_lower = character.is_lowercase() || character.is_numeric();
        words.extend(character.to_uppercase());
    }
    words
}
