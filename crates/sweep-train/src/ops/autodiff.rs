//! [`FusedBackend`] for burn's autodiff decorator: each operation is one node with its own backward step.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, OpsPrep};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::FloatTensor;

use super::{FusedBackend, NormInput, NormOutput, NormState, Window, narrow};

#[derive(Debug)]
struct Conv;

impl<B: FusedBackend> Backward<B, 2> for Conv {
    type State = (FloatTensor<B>, FloatTensor<B>, Window);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, weight, window) = ops.state;
        let [node_x, node_weight] = ops.parents;
        if let Some(node) = node_weight {
            let grad = B::conv_backward_weight(x.clone(), weight.clone(), grad.clone(), window);
            grads.register::<B>(node.id, grad);
        }
        if let Some(node) = node_x {
            grads.register::<B>(node.id, B::conv_backward_x(x, weight, grad, window));
        }
    }
}

#[derive(Debug)]
struct Norm;

#[derive(Debug, Clone)]
struct NormSaved<B: FusedBackend> {
    input: NormInput<B>,
    y: FloatTensor<B>,
    state: NormState<B>,
}

/// Parents: x, weight, bias and, with N = 4, the residual.
impl<B: FusedBackend, const N: usize> Backward<B, N> for Norm {
    type State = NormSaved<B>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let NormSaved { input, y, state } = ops.state;
        let gradients = narrow::norm_train_backward(input, y, state, grad);
        let parts =
            [Some(gradients.x), Some(gradients.weight), Some(gradients.bias), gradients.residual];
        for (node, part) in ops.parents.into_iter().zip(parts) {
            if let (Some(node), Some(part)) = (node, part) {
                grads.register::<B>(node.id, part);
            }
        }
    }
}

#[derive(Debug)]
struct MaxPool;

impl<B: FusedBackend> Backward<B, 1> for MaxPool {
    type State = (FloatTensor<B>, FloatTensor<B>, Window);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, y, window) = ops.state;
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::max_pool_backward(x, y, grad, window));
        }
    }
}

#[derive(Debug)]
struct AvgPool;

impl<B: FusedBackend> Backward<B, 1> for AvgPool {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::avg_pool_backward(ops.state, grad));
        }
    }
}

impl<B: FusedBackend, C: CheckpointStrategy> FusedBackend for Autodiff<B, C> {
    fn conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        let y = B::conv(x.primitive.clone(), weight.primitive.clone(), window);
        match Conv.prepare::<C>([x.node.clone(), weight.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x.primitive, weight.primitive, window), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn norm_train(input: NormInput<Self>) -> NormOutput<Self> {
        let inner = NormInput::<B> {
            x: input.x.primitive.clone(),
            weight: input.weight.primitive.clone(),
            bias: input.bias.primitive.clone(),
            residual: input.residual.as_ref().map(|residual| residual.primitive.clone()),
            relu: input.relu,
            epsilon: input.epsilon,
        };
        let NormOutput { y, variance, state } = narrow::norm_train(inner.clone());
        let outer_state = NormState {
            mean: Self::from_inner(state.mean.clone()),
            inv_std: Self::from_inner(state.inv_std.clone()),
        };
        let saved = NormSaved { input: inner, y: y.clone(), state };
        let (x, weight, bias) =
            (input.x.node.clone(), input.weight.node.clone(), input.bias.node.clone());
        let y = match input.residual {
            None => finish_norm(Norm.prepare::<C>([x, weight, bias]), saved, y),
            Some(residual) => {
                finish_norm(Norm.prepare::<C>([x, weight, bias, residual.node.clone()]), saved, y)
            }
        };
        NormOutput { y, variance: Self::from_inner(variance), state: outer_state }
    }

    fn max_pool(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        let y = B::max_pool(x.primitive.clone(), window);
        match MaxPool.prepare::<C>([x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x.primitive, y.clone(), window), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn avg_pool(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let y = B::avg_pool(x.primitive.clone());
        match AvgPool.prepare::<C>([x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x.primitive, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

fn finish_norm<B: FusedBackend, C: CheckpointStrategy, const N: usize>(
    prep: OpsPrep<Norm, B, NormSaved<B>, C, N>,
    saved: NormSaved<B>,
    y: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    match prep.compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(saved, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
