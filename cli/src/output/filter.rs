// SPDX-License-Identifier: GPL-2.0

//! `-Q`: which rows are shown, by an expression over the names of columns, as in util-linux.
//!
//! ```text
//! NPROCS > 1 and TYPE == "mnt"
//! not (COMMAND =~ "ssh") or HOST
//! ```
//!
//! Operators: `==` `!=` `<` `<=` `>` `>=`, `=~` and `!~` (has these words in it), `and` `or` `not` (`&&` `||` `!`), and
//! parentheses. Strings stand in quotes of either kind. A column alone is true if it has a value that is not 0 or empty.

use std::borrow::Cow;

use super::{table, Column, Data, Words};

/// An expression, ready to be asked of rows.
#[derive(Debug)]
pub struct Filter {
    root: Node,
    /// The columns that it needs, in the order of their numbers in it.
    pub columns: Vec<&'static Column>,
}

#[derive(Debug)]
enum Node {
    Or(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Compare(Operand, Operator, Operand),
    Truth(Operand),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Has,
    HasNot,
}

#[derive(Debug)]
enum Operand {
    Column(usize),
    Number(i128),
    Text(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(i128),
    Sign(&'static str),
}

const SIGNS: [&str; 13] = [
    "==", "!=", "<=", ">=", "=~", "!~", "&&", "||", "<", ">", "!", "(", ")",
];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return Ok(tokens);
        };
        if first == '"' || first == '\'' {
            let end = rest[1..]
                .find(first)
                .ok_or_else(|| format!("a string has no end: {rest}"))?;
            tokens.push(Token::Text(rest[1..=end].to_string()));
            rest = &rest[end + 2..];
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let end = rest
                .find(|one: char| !(one.is_alphanumeric() || "_-.:%#".contains(one)))
                .unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("\"{first}\" is no part of an expression"));
            }
            let word = &rest[..end];
            tokens.push(match word.parse() {
                Ok(number) => Token::Number(number),
                Err(_) => Token::Word(word.to_string()),
            });
            rest = &rest[end..];
        }
    }
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    all: &'static [Column],
    columns: &'a mut Vec<&'static Column>,
    depth: usize,
}

impl Parser<'_> {
    fn takes(&mut self, words: &[&str]) -> bool {
        let is_one = match self.tokens.peek() {
            Some(Token::Sign(sign)) => words.contains(sign),
            Some(Token::Word(word)) => words.iter().any(|one| word.eq_ignore_ascii_case(one)),
            _ => false,
        };
        if is_one {
            self.tokens.next();
        }
        is_one
    }

    fn either(&mut self) -> Result<Node, String> {
        let mut left = self.both()?;
        while self.takes(&["or", "||"]) {
            left = Node::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Node, String> {
        let mut left = self.one()?;
        while self.takes(&["and", "&&"]) {
            left = Node::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("it is nested too deeply".to_string());
        }
        let node = if self.takes(&["not", "!"]) {
            Node::Not(Box::new(self.one()?))
        } else if self.takes(&["("]) {
            let inner = self.either()?;
            if !self.takes(&[")"]) {
                return Err("a parenthesis is not closed".to_string());
            }
            inner
        } else {
            let left = self.operand()?;
            let operator = match self.tokens.peek() {
                Some(Token::Sign("==")) => Some(Operator::Equal),
                Some(Token::Sign("!=")) => Some(Operator::Unequal),
                Some(Token::Sign("<")) => Some(Operator::Less),
                Some(Token::Sign("<=")) => Some(Operator::LessOrEqual),
                Some(Token::Sign(">")) => Some(Operator::More),
                Some(Token::Sign(">=")) => Some(Operator::MoreOrEqual),
                Some(Token::Sign("=~")) => Some(Operator::Has),
                Some(Token::Sign("!~")) => Some(Operator::HasNot),
                _ => None,
            };
            match operator {
                Some(operator) => {
                    self.tokens.next();
                    Node::Compare(left, operator, self.operand()?)
                }
                None => Node::Truth(left),
            }
        };
        self.depth -= 1;
        Ok(node)
    }

    fn operand(&mut self) -> Result<Operand, String> {
        match self.tokens.next() {
            Some(Token::Number(number)) => Ok(Operand::Number(number)),
            Some(Token::Text(text)) => Ok(Operand::Text(text)),
            Some(Token::Word(word)) => {
                let column = self
                    .all
                    .iter()
                    .find(|one| one.name.eq_ignore_ascii_case(&word))
                    .ok_or_else(|| format!("there is no column \"{word}\"; --list-columns shows all, and strings stand in quotes"))?;
                let at = self
                    .columns
                    .iter()
                    .position(|one| one.name == column.name)
                    .unwrap_or_else(|| {
                        self.columns.push(column);
                        self.columns.len() - 1
                    });
                Ok(Operand::Column(at))
            }
            Some(Token::Sign(sign)) => {
                Err(format!("a column or a value is missing before \"{sign}\""))
            }
            None => Err("a column or a value is missing at its end".to_string()),
        }
    }
}

impl Filter {
    /// Reads an expression over these columns.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn parse(text: &str, all: &'static [Column]) -> Result<Self, String> {
        let mut columns = Vec::new();
        let tokens = tokens(text).map_err(|error| format!("--filter: {error}"))?;
        let mut parser = Parser {
            tokens: tokens.into_iter().peekable(),
            all,
            columns: &mut columns,
            depth: 0,
        };
        let root = parser
            .either()
            .map_err(|error| format!("--filter: {error}"))?;
        if let Some(token) = parser.tokens.next() {
            let token = match token {
                Token::Word(word) | Token::Text(word) => word,
                Token::Number(number) => number.to_string(),
                Token::Sign(sign) => sign.to_string(),
            };
            return Err(format!("--filter: \"{token}\" does not belong there"));
        }
        Ok(Self { root, columns })
    }

    /// Whether a row is to be shown; `data` gives the value of one of [`Filter::columns`].
    pub fn matches<'a>(&'a self, data: &dyn Fn(usize) -> Data<'a>) -> bool {
        eval(&self.root, data)
    }
}

fn eval<'a>(node: &'a Node, data: &dyn Fn(usize) -> Data<'a>) -> bool {
    match node {
        Node::Or(left, right) => eval(left, data) || eval(right, data),
        Node::And(left, right) => eval(left, data) && eval(right, data),
        Node::Not(inner) => !eval(inner, data),
        Node::Truth(operand) => match get(operand, data) {
            Data::Absent => false,
            Data::Number(number) => number != 0,
            Data::Flag(flag) => flag,
            Data::Words(words) => !words.shown().is_empty(),
            Data::List(list) => !list.is_empty(),
            Data::Set(_, bits) => bits != 0,
        },
        Node::Compare(left, operator, right) => {
            compare(&get(left, data), *operator, &get(right, data))
        }
    }
}

fn get<'a>(operand: &'a Operand, data: &dyn Fn(usize) -> Data<'a>) -> Data<'a> {
    match operand {
        Operand::Column(at) => data(*at),
        Operand::Number(number) => Data::Number(*number),
        Operand::Text(text) => Data::Words(Words::from_bytes(text.as_bytes())),
    }
}

fn as_number(data: &Data<'_>) -> Option<i128> {
    match data {
        Data::Number(number) => Some(*number),
        Data::Flag(flag) => Some((*flag).into()),
        Data::Words(words) => words.shown().parse().ok(),
        _ => None,
    }
}

/// The text that is compared. A dash is one here, whatever a table shows in its place.
fn text<'a>(data: &'a Data<'_>) -> Cow<'a, str> {
    match data {
        Data::Words(words) => Cow::Borrowed(words.shown()),
        data => table::shown(data),
    }
}

/// What is absent equals nothing, and is unequal to everything. A list has what one of its elements has.
fn compare(left: &Data<'_>, operator: Operator, right: &Data<'_>) -> bool {
    use std::cmp::Ordering;
    match operator {
        Operator::Unequal => return !compare(left, Operator::Equal, right),
        Operator::HasNot => return !compare(left, Operator::Has, right),
        _ => {}
    }
    if matches!(left, Data::Absent) || matches!(right, Data::Absent) {
        return false;
    }
    if let Data::List(list) = left {
        return list.iter().any(|one| compare(one, operator, right));
    }
    if let Data::Set(words, bits) = left {
        return table::words_of(words, *bits)
            .any(|one| compare(&Data::Words(Words::known(one)), operator, right));
    }
    let (left_text, right_text) = (text(left), text(right));
    if operator == Operator::Has {
        return left_text.contains(&*right_text);
    }
    let order = match (as_number(left), as_number(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left_text.cmp(&right_text),
    };
    match operator {
        Operator::Equal => order == Ordering::Equal,
        Operator::Less => order == Ordering::Less,
        Operator::LessOrEqual => order != Ordering::Greater,
        Operator::More => order == Ordering::Greater,
        Operator::MoreOrEqual => order != Ordering::Less,
        Operator::Has | Operator::HasNot | Operator::Unequal => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Cell;

    static COLUMNS: [Column; 3] = [
        Column::new("NPROCS", "", ""),
        Column::new("TYPE", "", ""),
        Column::new("OWNER", "", ""),
    ];

    fn check(text: &str) -> bool {
        let filter = Filter::parse(text, &COLUMNS).unwrap();
        filter.matches(&|at| match filter.columns[at].name {
            "NPROCS" => Cell::from(10u32).data,
            "TYPE" => Cell::from("mnt").data,
            _ => Data::Absent,
        })
    }

    #[test]
    fn expressions() {
        for (text, wanted) in [
            ("NPROCS > 1 and TYPE == \"mnt\"", true),
            ("NPROCS > 9", true),
            ("NPROCS < 9", false),
            ("nprocs>=10 && type!='net'", true),
            ("TYPE =~ 'm' or NPROCS == 1", true),
            ("not TYPE =~ 'm'", false),
            ("!(NPROCS == 10)", false),
            ("OWNER", false),
            ("not OWNER", true),
            ("OWNER == 1", false),
            ("OWNER != 1", true),
            ("NPROCS == '10'", true),
            ("NPROCS == 1 or NPROCS == 2 and TYPE == 'x' or TYPE", true),
        ] {
            assert_eq!(check(text), wanted, "{text}");
        }
    }

    #[test]
    fn errors() {
        for text in [
            "",
            "NPROCS >",
            "(NPROCS",
            "NPROCS 1",
            "X == 1",
            "'a",
            "NPROCS == ;",
            "> 1",
            "NPROCS))",
        ] {
            assert!(Filter::parse(text, &COLUMNS).is_err(), "{text}");
        }
        assert!(Filter::parse(&"(".repeat(10_000), &COLUMNS).is_err());
    }
}
