//! The part of Python's pickle format that a dictionary of tensors needs, as a machine that executes nothing.
//!
//! A pickle is a program: its operation `REDUCE` calls any function that the file names. This machine knows seven kinds
//! of names and what they stand for; every other name, and every operation that such files do not need, is an error.
//! Objects lie in one list and refer to each other by number, so that a file in which they refer to each other in
//! circles costs nothing.

use std::collections::HashMap;

use super::objects::{Global, Id, Storage, Unpickled, Value, View};

/// A longer pickle is refused: one of a network with a thousand tensors has 200 KB.
const MAX_BYTES: usize = 4 << 20;
/// More objects are refused: such a network has 20,000.
const MAX_VALUES: usize = 500_000;
/// The longest text.
const MAX_TEXT: usize = 4096;

/// Runs the pickle that `bytes` start with.
pub(super) fn unpickle(bytes: &[u8]) -> Result<Unpickled, String> {
    let mut machine = Machine { bytes, ..Machine::default() };
    while !machine.step()? {}
    let root = machine.pop()?;
    if !machine.stack.is_empty() || !machine.marks.is_empty() {
        return Err("its pickle leaves more than one object".into());
    }
    Ok(Unpickled { values: machine.values, storages: machine.storages, root, length: machine.at })
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    storages: Vec<Storage>,
    by_key: HashMap<String, usize>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|&end| end <= MAX_BYTES);
        let end = end.ok_or_else(|| format!("its pickle is longer than the {MAX_BYTES} bytes allowed"))?;
        let taken = self.bytes.get(self.at..end).ok_or("its pickle is truncated")?;
        self.at = end;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<u64, String> {
        let mut all = [0; 8];
        all[..N].copy_from_slice(self.take(N)?);
        Ok(u64::from_le_bytes(all))
    }

    fn text(&mut self, length: u64) -> Result<String, String> {
        if length > MAX_TEXT as u64 {
            return Err(format!("its pickle has a text of {length} bytes, more than the {MAX_TEXT} allowed"));
        }
        let bytes = self.take(length as usize)?.to_vec();
        String::from_utf8(bytes).map_err(|_| "its pickle has a text that is not UTF-8".into())
    }

    /// A line without its end.
    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let length = rest.iter().take(MAX_TEXT).position(|&b| b == b'\n');
        let length = length.ok_or("its pickle has a name without an end")?;
        let line = self.text(length as u64)?;
        self.take(1)?;
        Ok(line)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.values.len() >= MAX_VALUES {
            return Err(format!("its pickle has more than the {MAX_VALUES} objects allowed"));
        }
        let id = self.values.len() as Id;
        self.values.push(value);
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        match self.stack.len() > self.marks.last().copied().unwrap_or(0) {
            true => Ok(self.stack.pop().unwrap_or_default()),
            false => Err("its pickle takes an object where there is none".into()),
        }
    }

    fn top(&self) -> Result<Id, String> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.marks.last().copied().unwrap_or(0) => Ok(id),
            _ => Err("its pickle needs an object where there is none".into()),
        }
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("its pickle needs a mark where there is none")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn pop_n(&mut self, n: usize) -> Result<Vec<Id>, String> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        Ok(items)
    }

    fn value(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    fn remember(&mut self, key: u64) -> Result<(), String> {
        let (key, id) = (u32::try_from(key).map_err(|e| e.to_string())?, self.top()?);
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), String> {
        let id = u32::try_from(key).ok().and_then(|key| self.memo.get(&key).copied());
        self.stack
            .push(id.ok_or_else(|| format!("its pickle recalls object {key}, which it does not have"))?);
        Ok(())
    }

    /// One operation; whether it was the last.
    fn step(&mut self) -> Result<bool, String> {
        let operation = self.take(1)?[0];
        match operation {
            b'.' => return Ok(true),
            0x80 => match self.number::<1>()? {
                2..=5 => (),
                other => return Err(format!("expected a pickle of protocol 2 to 5. Received: {other}")),
            },
            // A frame's length, which says nothing that matters.
            0x95 => drop(self.number::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'q' => self.number::<1>().and_then(|key| self.remember(key))?,
            b'r' => self.number::<4>().and_then(|key| self.remember(key))?,
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' => self.number::<1>().and_then(|key| self.recall(key))?,
            b'j' => self.number::<4>().and_then(|key| self.recall(key))?,
            b'N' => self.push(Value::None)?,
            0x88 | 0x89 => self.push(Value::Truth(operation == 0x88))?,
            b'G' => self.take(8).and_then(|_| self.push(Value::Passed))?,
            b'K' | b'M' | b'J' | 0x8a => self.integer(operation)?,
            b'X' => self.number::<4>().and_then(|n| self.text(n)).and_then(|text| self.push(Value::Text(text)))?,
            0x8c => self.number::<1>().and_then(|n| self.text(n)).and_then(|text| self.push(Value::Text(text)))?,
            b')' | b't' | 0x85..=0x87 => self.tuple(operation)?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'a' => self.pop_n(1).and_then(|items| self.append(items))?,
            b'e' => self.pop_mark().and_then(|items| self.append(items))?,
            b'}' => self.push(Value::Dict(Vec::new(), false))?,
            b's' => self.pop_n(2).and_then(|items| self.set_items(items))?,
            b'u' => self.pop_mark().and_then(|items| self.set_items(items))?,
            b'c' | 0x93 => self.global(operation)?,
            b'Q' => self.storage()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => {
                return Err(format!(
                    "its pickle has the operation 0x{other:02x} ({:?}), which a dictionary of tensors does not need. \
                     Save the weights alone: `torch.save(model.state_dict(), path)`",
                    other as char
                ))
            }
        }
        Ok(false)
    }

    fn integer(&mut self, operation: u8) -> Result<(), String> {
        let value = match operation {
            b'K' => self.number::<1>()? as i64,
            b'M' => self.number::<2>()? as i64,
            b'J' => i64::from(self.number::<4>()? as u32 as i32),
            _ => {
                let n = self.number::<1>()? as usize;
                let bytes = self.take(n)?;
                // Of a longer one, such as the magic number of the older format, only that it is one matters.
                if n > 8 {
                    return self.push(Value::Passed);
                }
                let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
                let mut all = [sign; 8];
                all[..n].copy_from_slice(bytes);
                i64::from_le_bytes(all)
            }
        };
        self.push(Value::Int(value))
    }

    fn tuple(&mut self, operation: u8) -> Result<(), String> {
        let items = match operation {
            b')' => Vec::new(),
            b't' => self.pop_mark()?,
            n => self.pop_n(usize::from(n - 0x84))?,
        };
        self.push(Value::Tuple(items))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = self.top()?;
        match self.values.get_mut(list as usize) {
            Some(Value::List(list)) => list.extend(items),
            _ => return Err("its pickle appends to what is no list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Id>) -> Result<(), String> {
        let dict = self.top()?;
        if !items.len().is_multiple_of(2) {
            return Err("its pickle has a key without a value".into());
        }
        match self.values.get_mut(dict as usize) {
            Some(Value::Dict(dict, _)) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("its pickle sets items of what is no dictionary".into()),
        }
        Ok(())
    }

    fn global(&mut self, operation: u8) -> Result<(), String> {
        let (module, name) = match operation {
            b'c' => (self.line()?, self.line()?),
            _ => {
                let items = self.pop_n(2)?;
                match (self.value(items[0]), self.value(items[1])) {
                    (Value::Text(module), Value::Text(name)) => (module.clone(), name.clone()),
                    _ => return Err("its pickle has a name that is no text".into()),
                }
            }
        };
        self.push(Value::Global(Global::named(&module, &name)?))
    }

    /// `('storage', kind, key, device, number of values)`, with `None` behind it in the older format.
    fn storage(&mut self) -> Result<(), String> {
        let wrong = || "its pickle has a storage in an unknown form".to_owned();
        let id = self.pop()?;
        let Value::Tuple(items) = self.value(id) else { return Err(wrong()) };
        let items: Vec<&Value> = items.iter().map(|&item| self.value(item)).collect();
        let (
            Value::Text(tag),
            Value::Global(Global::Storage(kind)),
            Value::Text(key),
            Value::Text(_),
            Value::Int(len),
        ) = (match items[..] {
            [tag, kind, key, device, len] | [tag, kind, key, device, len, Value::None] => {
                (tag, kind, key, device, len)
            }
            _ => return Err(wrong()),
        })
        else {
            return Err(wrong());
        };
        if tag != "storage" {
            return Err(wrong());
        }
        let len = usize::try_from(*len).map_err(|_| wrong())?;
        let storage = Storage { key: key.clone(), kind: *kind, len };
        let number = match self.by_key.get(&storage.key) {
            Some(&number) if self.storages[number] == storage => number,
            Some(_) => return Err(format!("its storage `{key}` is described in two ways")),
            None => {
                self.by_key.insert(storage.key.clone(), self.storages.len());
                self.storages.push(storage);
                self.storages.len() - 1
            }
        };
        self.push(Value::Storage(number))
    }

    fn reduce(&mut self) -> Result<(), String> {
        let items = self.pop_n(2)?;
        let (Value::Global(function), Value::Tuple(arguments)) = (self.value(items[0]), self.value(items[1]))
        else {
            return Err("its pickle calls what is no function".into());
        };
        let made = match function {
            Global::OrderedDict if arguments.is_empty() => Value::Dict(Vec::new(), true),
            Global::RebuildTensor => Value::Tensor(self.view(arguments)?),
            Global::RebuildParameter => match arguments.first().map(|&id| self.value(id)) {
                Some(Value::Tensor(view)) => Value::Tensor(view.clone()),
                _ => return Err("its pickle makes a parameter of what is no tensor".into()),
            },
            _ => return Err("its pickle makes an object in an unknown form".into()),
        };
        self.push(made)
    }

    /// `(storage, offset, shape, strides, …)`: the rest says whether gradients were wanted.
    fn view(&self, arguments: &[Id]) -> Result<View, String> {
        let wrong = || "its pickle has a tensor in an unknown form".to_owned();
        let [storage, offset, shape, strides, ..] = arguments else { return Err(wrong()) };
        let Value::Storage(storage) = *self.value(*storage) else { return Err(wrong()) };
        let number = |id: Id| match self.value(id) {
            Value::Int(n) => {
                usize::try_from(*n).map_err(|_| "its pickle has a tensor with a negative size".to_owned())
            }
            _ => Err(wrong()),
        };
        let numbers = |id: Id| match self.value(id) {
            Value::Tuple(items) if items.len() <= 8 => items.iter().map(|&item| number(item)).collect(),
            _ => Err(wrong()),
        };
        let (shape, strides): (Vec<usize>, Vec<usize>) = (numbers(*shape)?, numbers(*strides)?);
        match shape.len() == strides.len() {
            true => Ok(View { storage, offset: number(*offset)?, shape, strides }),
            false => Err(wrong()),
        }
    }

    /// The state of an `OrderedDict`: PyTorch notes versions of its layers there, which mean nothing here.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        match (self.value(self.top()?), self.value(state)) {
            (Value::Dict(_, true), Value::Dict(..)) => Ok(()),
            _ => Err("its pickle gives a state to what is no dictionary of tensors".into()),
        }
    }
}
