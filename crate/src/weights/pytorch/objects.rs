//! What a pickle may describe: dictionaries, lists, texts, numbers, and tensors as views of storages.

/// Number of an object.
pub(super) type Id = u32;

/// Kinds of numbers that a storage may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F16,
    Bf16,
    /// Values that no network computes with, of so many bytes each: integers, f64, truth values.
    Other(usize),
}

impl Kind {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Kind::F32 => 4,
            Kind::F16 | Kind::Bf16 => 2,
            Kind::Other(bytes) => bytes,
        }
    }
}

/// A name that stands for something outside of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Kind),
}

impl Global {
    pub fn named(module: &str, name: &str) -> Result<Self, String> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "FloatStorage") => Global::Storage(Kind::F32),
            ("torch", "HalfStorage") => Global::Storage(Kind::F16),
            ("torch", "BFloat16Storage") => Global::Storage(Kind::Bf16),
            ("torch", "DoubleStorage" | "LongStorage") => Global::Storage(Kind::Other(8)),
            ("torch", "IntStorage") => Global::Storage(Kind::Other(4)),
            ("torch", "ShortStorage") => Global::Storage(Kind::Other(2)),
            ("torch", "CharStorage" | "ByteStorage" | "BoolStorage") => Global::Storage(Kind::Other(1)),
            _ => {
                return Err(format!(
                    "it refers to `{module}.{name}`, where only dictionaries of tensors are read. Save the weights \
                     alone: `torch.save(model.state_dict(), path)`"
                ))
            }
        })
    }
}

/// Numbers in a storage of the file, as a tensor of this shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Number of the storage in [`Unpickled::storages`].
    pub storage: usize,
    /// Of the first value, in values.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// From one value along an axis to the next, in values.
    pub strides: Vec<usize>,
}

/// A storage that the pickle refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    pub key: String,
    pub kind: Kind,
    /// Number of its values.
    pub len: usize,
}

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    /// Floating-point numbers and integers of more than 64 bits, which mean nothing here.
    Passed,
    Truth(bool),
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// A dictionary, and whether it is an `OrderedDict`.
    Dict(Vec<(Id, Id)>, bool),
    Global(Global),
    Storage(usize),
    Tensor(View),
}

/// What a pickle gives.
#[derive(Debug)]
pub(super) struct Unpickled {
    pub values: Vec<Value>,
    pub storages: Vec<Storage>,
    pub root: Id,
    /// Bytes that the pickle took.
    pub length: usize,
}

impl Unpickled {
    pub fn value(&self, id: Id) -> &Value {
        // The machine makes numbers of objects only.
        self.values.get(id as usize).unwrap_or(&Value::None)
    }
}
