//! Parameters and running statistics by torchvision's names ("layer1.0.conv1.weight"), for checkpoints and pretrained weights.
//!
//! Values are in torch's order: a convolution's weight is `[outputs, inputs, k, k]` here and `[outputs, k, k, inputs]` in the network.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use thiserror::Error;

/// Name → values in f32, torch's order.
pub type State = BTreeMap<String, TensorData>;

/// Why a state does not fit a network; retrying cannot help.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StateError {
    /// The state lacks a value that the network has.
    #[error("no value for `{name}` in the state")]
    Missing {
        /// The network's name for it.
        name: String,
    },
    /// A value has another shape than the network's.
    #[error("`{name}` has shape {found:?} in the state, but must have {expected:?}")]
    Shape {
        /// The network's name for it.
        name: String,
        /// The state's shape.
        found: Vec<usize>,
        /// The network's shape, in torch's order.
        expected: Vec<usize>,
    },
    /// A value does not hold floating point numbers.
    #[error("`{name}` holds {found:?} in the state, but must hold floating point numbers")]
    Type {
        /// The network's name for it.
        name: String,
        /// What it holds.
        found: String,
    },
}

/// Every parameter and running statistic of `module`, by name.
pub fn state<B: Backend, M: Module<B>>(module: &M) -> State {
    let mut reader = Reader { path: Path::default(), state: State::new() };
    module.visit(&mut reader);
    reader.state
}

/// `module` with the values of `state`; names that the module does not have (a classifier, a counter of batches) are ignored.
///
/// # Errors
/// If a value is missing, has another shape, or holds no floating point numbers.
pub fn load<B: Backend, M: Module<B>>(module: M, state: &State) -> Result<M, StateError> {
    let mut writer = Writer { path: Path::default(), state, error: None };
    let module = module.map(&mut writer);
    match writer.error {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

/// Where a visit stands. Variants of an enum ("ResNet") and the field that holds one ("body") are no part of a torch name.
#[derive(Default)]
pub(crate) struct Path {
    parts: Vec<String>,
}

impl Path {
    pub(crate) fn enter(&mut self, name: &str) {
        self.parts.push(name.to_owned());
    }

    pub(crate) fn leave(&mut self) {
        self.parts.pop();
    }

    pub(crate) fn name(&self) -> String {
        const UNNAMED: [&str; 3] = ["body", "SmallCnn", "ResNet"];
        let parts: Vec<&str> =
            self.parts.iter().map(String::as_str).filter(|part| !UNNAMED.contains(part)).collect();
        parts.join(".")
    }
}

struct Reader {
    path: Path,
    state: State,
}

impl<B: Backend> ModuleVisitor<B> for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.leave();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let values = in_torch_order(param.val()).into_data().convert_dtype(DType::F32);
        self.state.insert(self.path.name(), values);
    }
}

struct Writer<'a> {
    path: Path,
    state: &'a State,
    error: Option<StateError>,
}

impl Writer<'_> {
    fn values(&self, expected: &[usize]) -> Result<TensorData, StateError> {
        let name = self.path.name();
        let Some(values) = self.state.get(&name) else {
            return Err(StateError::Missing { name });
        };
        if values.shape[..] != *expected {
            return Err(StateError::Shape {
                name,
                found: values.shape.to_vec(),
                expected: expected.to_vec(),
            });
        }
        if !values.dtype.is_float() {
            return Err(StateError::Type { name, found: values.dtype.name().to_owned() });
        }
        Ok(values.clone().convert_dtype(DType::F32))
    }
}

impl<B: Backend> ModuleMapper<B> for Writer<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.leave();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let expected = in_torch_order(tensor.clone()).dims();
        let tensor = match self.values(&expected) {
            Ok(values) => {
                let loaded = in_our_order(Tensor::from_data(values, &tensor.device()));
                loaded.set_require_grad(tensor.is_require_grad())
            }
            Err(error) => {
                self.error.get_or_insert(error);
                tensor
            }
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// Only convolution weights have four dimensions.
fn in_torch_order<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    if D == 4 { tensor.swap_dims(D - 1, D - 2).swap_dims(D - 2, D - 3) } else { tensor }
}

/// Contiguous again, so that no step straightens it anew.
fn in_our_order<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    if D != 4 {
        return tensor;
    }
    let view = tensor.swap_dims(D - 3, D - 2).swap_dims(D - 2, D - 1);
    let device = view.device();
    Tensor::from_data(view.into_data(), &device)
}
