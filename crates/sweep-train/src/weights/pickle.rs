//! The part of Python's pickle language that `torch.save` writes for a state dict, and nothing else of it.
//!
//! A pickle is a program. This machine has no way to run code: a name it does not know (`GLOBAL`) ends the reading, and of the
//! names it knows each stands for a fixed value. Time and memory are bounded by the length of the input, which the caller
//! bounds. Language: Python's `pickletools.py`; names: torch's `serialization.py` and `_utils.py`.

use std::rc::Rc;

use super::{Element, Layout, WeightsError, wrong};

/// A state dict's tensors by name, in the order of the file.
pub(super) type Entries = Vec<(String, Layout)>;

/// What the stack holds. Lists and dicts live beside it, since a pickle fills them after it has handed them around.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Int(i64),
    Text(Rc<str>),
    Tuple(Rc<[Value]>),
    List(usize),
    Dict(usize),
    Known(Known),
    Storage(Rc<Storage>),
    Tensor(Rc<Layout>),
    /// Something a state dict may hold and nobody here asks for: flags, numbers.
    Other,
    Mark,
}

/// The names a state dict may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

/// A flat run of numbers that tensors are views of.
#[derive(Debug)]
pub(super) struct Storage {
    key: String,
    element: Element,
    count: usize,
}

impl Known {
    fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch" | "torch.storage", "FloatStorage") => Self::Storage(Element::F32),
            ("torch" | "torch.storage", "DoubleStorage") => Self::Storage(Element::F64),
            ("torch" | "torch.storage", "HalfStorage") => Self::Storage(Element::F16),
            ("torch" | "torch.storage", "BFloat16Storage") => Self::Storage(Element::BF16),
            ("torch" | "torch.storage", "LongStorage") => Self::Storage(Element::Whole(8)),
            ("torch" | "torch.storage", "IntStorage") => Self::Storage(Element::Whole(4)),
            ("torch" | "torch.storage", "ByteStorage" | "BoolStorage") => {
                Self::Storage(Element::Whole(1))
            }
            _ => return None,
        })
    }
}

/// A pickle being read.
#[derive(Debug, Default)]
pub(super) struct Machine<'a> {
    input: &'a [u8],
    stack: Vec<Value>,
    memo: std::collections::HashMap<u32, Value>,
    lists: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
}

/// What a pickle said, with the lists and dicts it refers to.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) value: Value,
    machine: Machine<'a>,
}

/// Reads one pickle from the start of `input`; gives it and what follows it.
pub(super) fn read(input: &[u8]) -> Result<(Read<'_>, &[u8]), WeightsError> {
    let mut machine = Machine { input, ..Machine::default() };
    while machine.step()? {}
    let value = machine.pop()?;
    let rest = machine.input;
    Ok((Read { value, machine }, rest))
}

impl Read<'_> {
    /// The texts of a list of texts.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        let Value::List(index) = self.value else { return None };
        let text = |value: &Value| match value {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        };
        self.machine.lists[index].iter().map(text).collect()
    }

    /// The tensors of a state dict, which may lie under the key `state_dict` of a checkpoint.
    pub(super) fn state_dict(&self) -> Result<Entries, WeightsError> {
        let Value::Dict(root) = self.value else { return wrong("it does not hold a state dict") };
        let nested = self.machine.dicts[root].iter().find_map(|(key, value)| match (key, value) {
            (Value::Text(key), Value::Dict(inner)) if &**key == "state_dict" => Some(*inner),
            _ => None,
        });
        let entries = &self.machine.dicts[nested.unwrap_or(root)];
        let mut out = Entries::new();
        for (key, value) in entries {
            if let (Value::Text(key), Value::Tensor(layout)) = (key, value) {
                out.push((key.to_string(), Layout::clone(layout)));
            }
        }
        if out.is_empty() {
            return wrong("it does not hold a state dict: no tensor in its outermost map");
        }
        Ok(out)
    }
}

impl<'a> Machine<'a> {
    /// One instruction; `false` after the last.
    fn step(&mut self) -> Result<bool, WeightsError> {
        let code = self.bytes::<1>()?[0];
        match code {
            0x80 => drop(self.bytes::<1>()?),             // PROTO
            0x95 => drop(self.bytes::<8>()?),             // FRAME
            b'.' => return Ok(false),                     // STOP
            b'(' => self.stack.push(Value::Mark),         // MARK
            b'N' => self.stack.push(Value::None),         // NONE
            0x88 | 0x89 => self.stack.push(Value::Other), // NEWTRUE, NEWFALSE
            b'G' => {
                self.bytes::<8>()?; // BINFLOAT
                self.stack.push(Value::Other);
            }
            b'K' => {
                let number = self.bytes::<1>()?[0]; // BININT1
                self.stack.push(Value::Int(number.into()));
            }
            b'M' => {
                let number = u16::from_le_bytes(self.bytes()?); // BININT2
                self.stack.push(Value::Int(number.into()));
            }
            b'J' => {
                let number = i32::from_le_bytes(self.bytes()?); // BININT
                self.stack.push(Value::Int(number.into()));
            }
            0x8a => self.long()?, // LONG1
            b'X' => {
                let length = u32::from_le_bytes(self.bytes()?); // BINUNICODE
                self.text(length as usize)?;
            }
            0x8c | b'U' => {
                let length = self.bytes::<1>()?[0]; // SHORT_BINUNICODE, SHORT_BINSTRING
                self.text(length.into())?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?); // GLOBAL
                self.known(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?); // STACK_GLOBAL
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return wrong("its pickle names something that is not text");
                };
                self.known(&module, &name)?;
            }
            b'q' | b'r' | 0x94 => {
                let place = match code {
                    b'q' => self.bytes::<1>()?[0].into(),      // BINPUT
                    b'r' => u32::from_le_bytes(self.bytes()?), // LONG_BINPUT
                    _ => u32::try_from(self.memo.len()).unwrap_or(u32::MAX), // MEMOIZE
                };
                let value = self.top()?.clone();
                self.memo.insert(place, value);
            }
            b'h' | b'j' => {
                let place = match code {
                    b'h' => self.bytes::<1>()?[0].into(),   // BINGET
                    _ => u32::from_le_bytes(self.bytes()?), // LONG_BINGET
                };
                match self.memo.get(&place) {
                    Some(value) => self.stack.push(value.clone()),
                    None => return wrong("its pickle recalls what it never said"),
                }
            }
            b')' => self.stack.push(Value::Tuple(Rc::new([]))), // EMPTY_TUPLE
            0x85..=0x87 => {
                let count = usize::from(code - 0x84); // TUPLE1 to TUPLE3
                let start = self.stack.len().checked_sub(count);
                let Some(start) = start else { return wrong(UNDERFLOW) };
                let items: Rc<[Value]> = self.stack.drain(start..).collect();
                self.stack.push(Value::Tuple(items));
            }
            b't' => {
                let items = self.since_mark()?; // TUPLE
                self.stack.push(Value::Tuple(items.into()));
            }
            b']' => {
                self.lists.push(Vec::new()); // EMPTY_LIST
                self.stack.push(Value::List(self.lists.len() - 1));
            }
            b'}' => self.new_dict(), // EMPTY_DICT
            b'a' => {
                let item = self.pop()?; // APPEND
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?; // APPENDS
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?); // SETITEM
                self.set_items(vec![key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?; // SETITEMS
                self.set_items(items)?;
            }
            b'Q' => {
                let id = self.pop()?; // BINPERSID
                let storage = storage(&id)?;
                self.stack.push(Value::Storage(Rc::new(storage)));
            }
            b'R' => {
                let (arguments, callee) = (self.pop()?, self.pop()?); // REDUCE
                self.call(&callee, &arguments)?;
            }
            b'b' => drop(self.pop()?), // BUILD: attributes of an OrderedDict (`_metadata`), which hold no tensor
            other => {
                return wrong(format!(
                    "its pickle uses instruction {other:#04x}, which no state dict needs"
                ));
            }
        }
        Ok(true)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        match self.input.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.input = rest;
                Ok(*bytes)
            }
            None => wrong(TRUNCATED),
        }
    }

    fn text(&mut self, length: usize) -> Result<(), WeightsError> {
        let Some((bytes, rest)) = self.input.split_at_checked(length) else {
            return wrong(TRUNCATED);
        };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return wrong("its pickle holds a text that is not UTF-8");
        };
        self.input = rest;
        self.stack.push(Value::Text(text.into()));
        Ok(())
    }

    fn line(&mut self) -> Result<&'a str, WeightsError> {
        let end = self.input.iter().position(|b| *b == b'\n');
        let Some(end) = end else { return wrong(TRUNCATED) };
        let line = std::str::from_utf8(&self.input[..end]);
        self.input = &self.input[end + 1..];
        line.or_else(|_| wrong("its pickle holds a text that is not UTF-8"))
    }

    /// A number of up to 255 bytes; those beyond 8 (torch's magic number) are nobody's business here.
    fn long(&mut self) -> Result<(), WeightsError> {
        let length = usize::from(self.bytes::<1>()?[0]);
        let Some((bytes, rest)) = self.input.split_at_checked(length) else {
            return wrong(TRUNCATED);
        };
        self.input = rest;
        let value = if length > 8 {
            Value::Other
        } else {
            let sign = bytes.last().map_or(0, |b| if b & 0x80 == 0 { 0 } else { 0xff });
            let mut whole = [sign; 8];
            whole[..length].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(whole))
        };
        self.stack.push(value);
        Ok(())
    }

    fn known(&mut self, module: &str, name: &str) -> Result<(), WeightsError> {
        match Known::find(module, name) {
            Some(known) => self.stack.push(Value::Known(known)),
            None => {
                return wrong(format!(
                    "its pickle names `{module}.{name}`, which is not part of a state dict; save `model.state_dict()`, not the model"
                ));
            }
        }
        Ok(())
    }

    fn new_dict(&mut self) {
        self.dicts.push(Vec::new());
        self.stack.push(Value::Dict(self.dicts.len() - 1));
    }

    fn pop(&mut self) -> Result<Value, WeightsError> {
        self.stack.pop().ok_or_else(|| WeightsError::Format(UNDERFLOW.to_owned()))
    }

    fn top(&self) -> Result<&Value, WeightsError> {
        self.stack.last().ok_or_else(|| WeightsError::Format(UNDERFLOW.to_owned()))
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, WeightsError> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let Some(mark) = mark else { return wrong(UNDERFLOW) };
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), WeightsError> {
        match *self.top()? {
            Value::List(index) => self.lists[index].extend(items),
            _ => return wrong("its pickle appends to what is no list"),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<(), WeightsError> {
        match *self.top()? {
            Value::Dict(index) => {
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    self.dicts[index].push((key, value));
                }
            }
            _ => return wrong("its pickle fills what is no map"),
        }
        Ok(())
    }

    fn call(&mut self, callee: &Value, arguments: &Value) -> Result<(), WeightsError> {
        let Value::Tuple(arguments) = arguments else {
            return wrong("its pickle calls with what are no arguments");
        };
        let made = match callee {
            // Of an OrderedDict made from pairs nothing is read; torch makes empty ones and fills them.
            Value::Known(Known::OrderedDict) => {
                self.new_dict();
                return Ok(());
            }
            Value::Known(Known::RebuildTensor) => Value::Tensor(Rc::new(tensor(arguments)?)),
            Value::Known(Known::RebuildParameter) => match arguments.first() {
                Some(Value::Tensor(layout)) => Value::Tensor(layout.clone()),
                _ => return wrong("its pickle makes a parameter of what is no tensor"),
            },
            _ => return wrong("its pickle calls what cannot be called"),
        };
        self.stack.push(made);
        Ok(())
    }
}

const TRUNCATED: &str = "its pickle ends early";
const UNDERFLOW: &str = "its pickle takes what is not there";

/// `("storage", type, key, device, count)`.
fn storage(id: &Value) -> Result<Storage, WeightsError> {
    if let Value::Tuple(parts) = id
        && let [
            Value::Text(tag),
            Value::Known(Known::Storage(element)),
            Value::Text(key),
            _,
            Value::Int(count),
            ..,
        ] = &**parts
        && &**tag == "storage"
        && let Ok(count) = usize::try_from(*count)
    {
        return Ok(Storage { key: key.to_string(), element: *element, count });
    }
    wrong("its pickle refers to data in an unknown way")
}

/// `(storage, offset, shape, strides, …)`.
fn tensor(arguments: &[Value]) -> Result<Layout, WeightsError> {
    if let [
        Value::Storage(storage),
        Value::Int(offset),
        Value::Tuple(shape),
        Value::Tuple(strides),
        ..,
    ] = arguments
        && let (Ok(offset), Some(shape), Some(strides)) =
            (usize::try_from(*offset), sizes(shape), sizes(strides))
        && shape.len() == strides.len()
        && shape.len() <= 8
    {
        let Storage { key, element, count } = &**storage;
        let layout = Layout {
            storage: key.clone(),
            element: *element,
            count: *count,
            offset,
            shape,
            strides,
        };
        return Ok(layout);
    }
    wrong("its pickle holds a tensor in an unknown form")
}

fn sizes(values: &[Value]) -> Option<Vec<usize>> {
    let size = |value: &Value| match value {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    values.iter().map(size).collect()
}
