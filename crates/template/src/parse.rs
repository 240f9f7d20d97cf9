//! Pieces as a tree: what is printed, what depends on what.

use crate::Fault;
use crate::lex::{Kind, Piece, Token};
use serde_json::Value;

/// How deep parentheses and blocks may be nested.
const DEEPEST: usize = 100;

/// A part of a template.
#[derive(Debug)]
pub(crate) enum Node {
    Text(String),
    /// A pipeline whose value is printed, unless it is given to a variable.
    Print(Pipeline),
    Branch(Branch),
    Break,
    Continue,
}

/// `if`, `with` or `range`.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) kind: BranchKind,
    pub(crate) pipeline: Pipeline,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BranchKind {
    If,
    With,
    Range,
}

/// Commands, each one's value the last argument of the next.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) at: usize,
    /// The variables that take the value.
    pub(crate) variables: Vec<String>,
    /// They are new: `:=`.
    pub(crate) declares: bool,
    pub(crate) commands: Vec<Command>,
}

/// A function or value with its arguments.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) words: Vec<Word>,
}

/// A value, and fields of it.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) at: usize,
    pub(crate) kind: WordKind,
    pub(crate) fields: Vec<(usize, String)>,
}

#[derive(Debug)]
pub(crate) enum WordKind {
    Dot,
    Variable(String),
    Literal(Value),
    Function(String),
    Pipeline(Box<Pipeline>),
}

/// The tree of a template. `end`: where its text ends.
pub(crate) fn nodes(pieces: Vec<Piece>, end: usize) -> Result<Vec<Node>, Fault> {
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        end,
        depth: 0,
        loops: 0,
    };
    let (nodes, stop) = parser.until_stop()?;
    match stop {
        Stop::EndOfText => Ok(nodes),
        Stop::End(at) => Err(Fault::new(at, "this end ends nothing")),
        Stop::Else(at, _) => Err(Fault::new(at, "this else belongs to no if, with or range")),
    }
}

/// What a list of nodes stops at.
enum Stop {
    EndOfText,
    End(usize),
    /// With what stands behind it.
    Else(usize, Vec<Token>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    end: usize,
    depth: usize,
    loops: usize,
}

impl Parser {
    fn until_stop(&mut self) -> Result<(Vec<Node>, Stop), Fault> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, tokens) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { at, tokens } => (at, tokens),
            };
            let keyword = match tokens.first().map(|token| &token.kind) {
                Some(Kind::Identifier(name)) => name.clone(),
                Some(_) => String::new(),
                None => return Err(Fault::new(at, "there is nothing between {{ and }}")),
            };
            let rest = || tokens[1..].to_vec();
            nodes.push(match keyword.as_str() {
                "end" => return alone(&tokens).map(|()| (nodes, Stop::End(at))),
                "else" => return Ok((nodes, Stop::Else(at, rest()))),
                "if" => self.branch(BranchKind::If, at, rest())?,
                "with" => self.branch(BranchKind::With, at, rest())?,
                "range" => self.branch(BranchKind::Range, at, rest())?,
                "break" | "continue" => self.jump(&keyword, at, &tokens)?,
                "define" | "block" | "template" => {
                    return Err(Fault::new(at, format!("{keyword} isn't supported in --format")));
                }
                _ => Node::Print(pipeline(&mut Tokens::new(tokens, self.end), 0)?),
            });
        }
        Ok((nodes, Stop::EndOfText))
    }

    fn jump(&self, keyword: &str, at: usize, tokens: &[Token]) -> Result<Node, Fault> {
        alone(tokens)?;
        if self.loops == 0 {
            return Err(Fault::new(at, format!("{keyword} belongs into a range")));
        }
        Ok(if keyword == "break" {
            Node::Break
        } else {
            Node::Continue
        })
    }

    fn branch(&mut self, kind: BranchKind, at: usize, tokens: Vec<Token>) -> Result<Node, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::new(at, "blocks are nested too deeply"));
        }
        let pipeline = pipeline(&mut Tokens::new(tokens, at), 0)?;
        let is_range = kind == BranchKind::Range;
        if pipeline.variables.len() > if is_range { 2 } else { 1 } {
            return Err(Fault::new(at, "too many variables before :="));
        }
        self.loops += usize::from(is_range);
        let (body, stop) = self.until_stop()?;
        self.loops -= usize::from(is_range);
        let otherwise = self.otherwise(kind, at, stop)?;
        self.depth -= 1;
        Ok(Node::Branch(Branch {
            kind,
            pipeline,
            body,
            otherwise,
        }))
    }

    /// What stands after the body of a branch: its end, an else, or an else with another branch in it.
    fn otherwise(&mut self, kind: BranchKind, at: usize, stop: Stop) -> Result<Vec<Node>, Fault> {
        let (else_at, tokens) = match stop {
            Stop::End(_) => return Ok(Vec::new()),
            Stop::EndOfText => return Err(Fault::new(at, "this block has no {{end}}")),
            Stop::Else(else_at, tokens) => (else_at, tokens),
        };
        let Some(first) = tokens.first() else {
            let (nodes, stop) = self.until_stop()?;
            return match stop {
                Stop::End(_) => Ok(nodes),
                Stop::EndOfText => Err(Fault::new(else_at, "this block has no {{end}}")),
                Stop::Else(at, _) => Err(Fault::new(at, "a second else")),
            };
        };
        match (&first.kind, kind) {
            (Kind::Identifier(name), BranchKind::If) if name == "if" => {}
            (Kind::Identifier(name), BranchKind::With) if name == "with" => {}
            _ => {
                return Err(Fault::new(
                    first.at,
                    "after else only if (in an if) or with (in a with) may stand",
                ));
            }
        }
        Ok(vec![self.branch(kind, else_at, tokens[1..].to_vec())?])
    }
}

/// A keyword has nothing behind it.
fn alone(tokens: &[Token]) -> Result<(), Fault> {
    tokens
        .get(1)
        .map_or(Ok(()), |token| Err(Fault::new(token.at, "nothing may stand here")))
}

/// The tokens of an action that are still to be read.
struct Tokens {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    end: usize,
}

impl Tokens {
    fn new(tokens: Vec<Token>, at: usize) -> Self {
        let end = tokens.last().map_or(at, |token| token.at);
        Self {
            tokens: tokens.into_iter().peekable(),
            end,
        }
    }

    fn take(&mut self, kind: &Kind) -> bool {
        self.tokens.next_if(|token| token.kind == *kind).is_some()
    }

    fn here(&mut self) -> usize {
        self.tokens.peek().map_or(self.end, |token| token.at)
    }
}

/// `$a, $b := command | command …` up to the end or a closing parenthesis.
fn pipeline(tokens: &mut Tokens, depth: usize) -> Result<Pipeline, Fault> {
    let at = tokens.here();
    if depth > DEEPEST {
        return Err(Fault::new(at, "parentheses are nested too deeply"));
    }
    let (variables, declares) = variables(tokens)?;
    let mut commands = Vec::new();
    loop {
        let at = tokens.here();
        let mut words = Vec::new();
        while !matches!(
            tokens.tokens.peek().map(|token| &token.kind),
            None | Some(Kind::Pipe | Kind::Close)
        ) {
            words.push(word(tokens, depth)?);
        }
        if words.is_empty() {
            return Err(Fault::new(at, "a value or a function is missing here"));
        }
        commands.push(Command { words });
        if !tokens.take(&Kind::Pipe) {
            break;
        }
    }
    if depth == 0
        && let Some(token) = tokens.tokens.next()
    {
        return Err(Fault::new(token.at, "this ) closes nothing"));
    }
    Ok(Pipeline {
        at,
        variables,
        declares,
        commands,
    })
}

/// The variables before `:=` or `=`; none where there is neither.
fn variables(tokens: &mut Tokens) -> Result<(Vec<String>, bool), Fault> {
    let mut ahead = tokens.tokens.clone();
    let mut names = Vec::new();
    loop {
        let Some(Kind::Variable(name)) = ahead.next().map(|token| token.kind) else {
            return Ok((Vec::new(), false));
        };
        names.push(name);
        match ahead.next() {
            Some(token) if token.kind == Kind::Comma => {}
            Some(token) if matches!(token.kind, Kind::Declare | Kind::Assign) => {
                if names.iter().any(String::is_empty) {
                    return Err(Fault::new(token.at, "$ can't be changed: give the variable a name"));
                }
                tokens.tokens = ahead;
                return Ok((names, token.kind == Kind::Declare));
            }
            _ => return Ok((Vec::new(), false)),
        }
    }
}

fn word(tokens: &mut Tokens, depth: usize) -> Result<Word, Fault> {
    let Some(token) = tokens.tokens.next() else {
        return Err(Fault::new(tokens.end, "a value is missing here"));
    };
    let at = token.at;
    let mut fields = Vec::new();
    let kind = match token.kind {
        Kind::Dot => WordKind::Dot,
        Kind::Field(name) => {
            fields.push((at, name));
            WordKind::Dot
        }
        Kind::Variable(name) => WordKind::Variable(name),
        Kind::Literal(value) => WordKind::Literal(value),
        Kind::Identifier(name) => WordKind::Function(name),
        Kind::Open => {
            let inner = pipeline(tokens, depth + 1)?;
            if !tokens.take(&Kind::Close) {
                return Err(Fault::new(at, "this ( has no ) to it"));
            }
            WordKind::Pipeline(Box::new(inner))
        }
        Kind::Pipe | Kind::Comma | Kind::Declare | Kind::Assign | Kind::Close => {
            return Err(Fault::new(at, "a value or a function belongs here"));
        }
    };
    let is_field = |token: &Token| !token.spaced && matches!(token.kind, Kind::Field(_));
    while let Some(next) = tokens.tokens.next_if(is_field) {
        if let Kind::Field(name) = next.kind {
            fields.push((next.at, name));
        }
    }
    Ok(Word { at, kind, fields })
}
