//! Training batch norm (+ residual) + ReLU as kernels of cubecl: each pass over memory does all that can be done in it.
//!
//! Forward: one pass for the moments, one that normalises. Backward: one pass for the two sums, one that writes the gradients. A pass
//! of sums gives each cube a strip of [`LANES`] channels and some rows; what the cubes found is added up in a fixed order, so the
//! same input has the same output each time. Sums are of differences to the first row: a mean far from zero costs no digits.
//!
//! Nothing here knows burn, and all of it is generic over cubecl's runtimes: `bench/kernels` includes this very file to test it
//! without a GPU. Arrays are contiguous f32, channels last: `x[row · channels + channel]`.

use cubecl::prelude::*;
use cubecl::server::Handle;

/// Channels of a cube: neighbouring units read neighbouring numbers.
const LANES: u32 = 32;
/// Units of a cube that share a channel.
const DEPTH: u32 = 8;
/// Units of a cube that works on one number each.
const FLAT: u32 = 256;
/// Cubes wanted in a pass of sums, enough to fill the largest GPUs several times.
const WANTED_CUBES: usize = 1024;
/// Least rows of a cube in a pass of sums.
const LEAST_ROWS: usize = 64;

/// Sizes of a batch norm: samples × pixels, and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) rows: usize,
    pub(crate) channels: usize,
}

impl Sizes {
    fn numbers(self) -> usize {
        self.rows * self.channels
    }

    fn strips(self) -> usize {
        self.channels.div_ceil(LANES as usize)
    }

    /// Rows of a cube in a pass of sums, and how many cubes that makes per strip.
    fn chunks(self) -> (usize, usize) {
        let wanted = (WANTED_CUBES / self.strips()).max(1);
        let rows = self.rows.div_ceil(wanted).max(LEAST_ROWS);
        (rows, self.rows.div_ceil(rows))
    }
}

/// What follows the normalisation in the same pass.
#[derive(Clone, Debug)]
pub(crate) struct Then {
    /// Added before the ReLU, like `x`.
    pub(crate) residual: Option<Handle>,
    pub(crate) relu: bool,
}

/// Statistics of a batch, `[channels]` each.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    pub(crate) mean: Handle,
    /// Biased.
    pub(crate) variance: Handle,
    pub(crate) inv_std: Handle,
}

/// Output like `x`, and the statistics.
pub(crate) fn forward<R: Runtime>(
    client: &ComputeClient<R>,
    sizes: Sizes,
    x: Handle,
    weight: Handle,
    bias: Handle,
    then: Then,
    epsilon: f32,
) -> (Handle, Statistics) {
    let Sizes { rows, channels } = sizes;
    let (chunk_rows, chunks) = sizes.chunks();
    let partial = floats(client, 2 * chunks * channels);
    let statistics = Statistics {
        mean: floats(client, channels),
        variance: floats(client, channels),
        inv_std: floats(client, channels),
    };
    let y = floats(client, sizes.numbers());
    // SAFETY: every array is given with the length it has, and every kernel checks its positions against the sizes.
    #[allow(unsafe_code, reason = "kernels that check their positions themselves")]
    unsafe {
        moments::launch_unchecked::<R>(
            client,
            strips(sizes, chunks),
            cube(),
            array(&x, sizes.numbers()),
            array(&partial, 2 * chunks * channels),
            rows,
            channels,
            chunk_rows,
        );
        statistics_of::launch_unchecked::<R>(
            client,
            strips(sizes, 1),
            cube(),
            array(&x, sizes.numbers()),
            array(&partial, 2 * chunks * channels),
            array(&statistics.mean, channels),
            array(&statistics.variance, channels),
            array(&statistics.inv_std, channels),
            rows,
            channels,
            chunks,
            epsilon,
        );
        normalise::launch_unchecked::<R>(
            client,
            flat(sizes),
            CubeDim::new_1d(FLAT),
            array(&x, sizes.numbers()),
            // An array that is not read when there is no residual.
            array(then.residual.as_ref().unwrap_or(&x), sizes.numbers()),
            array(&statistics.mean, channels),
            array(&statistics.inv_std, channels),
            array(&weight, channels),
            array(&bias, channels),
            array(&y, sizes.numbers()),
            sizes.numbers(),
            channels,
            then.residual.is_some(),
            then.relu,
        );
    }
    (y, statistics)
}

/// What the backward pass reads: the forward pass's input and output, and the gradient of the output.
#[derive(Clone, Debug)]
pub(crate) struct Back {
    pub(crate) x: Handle,
    pub(crate) y: Handle,
    pub(crate) grad: Handle,
    pub(crate) weight: Handle,
    pub(crate) mean: Handle,
    pub(crate) inv_std: Handle,
    pub(crate) relu: bool,
    /// Whether the gradient of a residual is wanted too.
    pub(crate) residual: bool,
}

/// Gradients of the forward pass's inputs.
#[derive(Clone, Debug)]
pub(crate) struct Gradients {
    pub(crate) x: Handle,
    pub(crate) weight: Handle,
    pub(crate) bias: Handle,
    pub(crate) residual: Option<Handle>,
}

/// The backward pass of [`forward`].
pub(crate) fn backward<R: Runtime>(
    client: &ComputeClient<R>,
    sizes: Sizes,
    back: Back,
) -> Gradients {
    let Sizes { rows, channels } = sizes;
    let (chunk_rows, chunks) = sizes.chunks();
    let partial = floats(client, 2 * chunks * channels);
    // Without a ReLU the residual's gradient is the output's own.
    let residual = (back.residual && back.relu).then(|| floats(client, sizes.numbers()));
    let gradients = Gradients {
        x: floats(client, sizes.numbers()),
        weight: floats(client, channels),
        bias: floats(client, channels),
        residual: residual.clone().or_else(|| back.residual.then(|| back.grad.clone())),
    };
    // SAFETY: as in `forward`.
    #[allow(unsafe_code, reason = "kernels that check their positions themselves")]
    unsafe {
        gradient_sums::launch_unchecked::<R>(
            client,
            strips(sizes, chunks),
            cube(),
            array(&back.x, sizes.numbers()),
            array(&back.y, sizes.numbers()),
            array(&back.grad, sizes.numbers()),
            array(&back.mean, channels),
            array(&back.inv_std, channels),
            array(&partial, 2 * chunks * channels),
            rows,
            channels,
            chunk_rows,
            back.relu,
        );
        added_up::launch_unchecked::<R>(
            client,
            strips(sizes, 1),
            cube(),
            array(&partial, 2 * chunks * channels),
            array(&gradients.bias, channels),
            array(&gradients.weight, channels),
            channels,
            chunks,
        );
        gradient_of_input::launch_unchecked::<R>(
            client,
            flat(sizes),
            CubeDim::new_1d(FLAT),
            array(&back.x, sizes.numbers()),
            array(&back.y, sizes.numbers()),
            array(&back.grad, sizes.numbers()),
            array(&back.weight, channels),
            array(&back.mean, channels),
            array(&back.inv_std, channels),
            array(&gradients.bias, channels),
            array(&gradients.weight, channels),
            array(&gradients.x, sizes.numbers()),
            // An array that is not written when nobody wants it.
            array(residual.as_ref().unwrap_or(&gradients.x), sizes.numbers()),
            rows,
            sizes.numbers(),
            channels,
            residual.is_some(),
            back.relu,
        );
    }
    gradients
}

fn floats<R: Runtime>(client: &ComputeClient<R>, count: usize) -> Handle {
    client.empty(count * size_of::<f32>())
}

#[allow(unsafe_code, reason = "the length is the caller's, who made the array")]
fn array<R: Runtime>(handle: &Handle, length: usize) -> ArrayArg<R> {
    unsafe { ArrayArg::from_raw_parts(handle.clone(), length) }
}

fn cube() -> CubeDim {
    CubeDim::new_2d(LANES, DEPTH)
}

fn strips(sizes: Sizes, chunks: usize) -> CubeCount {
    CubeCount::Static(sizes.strips() as u32, chunks as u32, 1)
}

/// One unit per number; a row of cubes is no longer than every runtime allows.
fn flat(sizes: Sizes) -> CubeCount {
    const LONGEST: usize = 65_535;
    let cubes = sizes.numbers().div_ceil(FLAT as usize);
    let rows = cubes.div_ceil(LONGEST).max(1);
    CubeCount::Static(cubes.div_ceil(rows) as u32, rows as u32, 1)
}

/// Σ (x − x₀) and Σ (x − x₀)² per chunk and channel.
#[cube(launch_unchecked)]
fn moments(
    x: &Array<f32>,
    partial: &mut Array<f32>,
    rows: usize,
    channels: usize,
    chunk_rows: usize,
) {
    let channel = CUBE_POS_X as usize * LANES as usize + UNIT_POS_X as usize;
    let mut sum = 0.0f32;
    let mut squares = 0.0f32;
    if channel < channels {
        let origin = x[channel];
        let first = CUBE_POS_Y as usize * chunk_rows;
        let end = usize::min(first + chunk_rows, rows);
        let mut row = first + UNIT_POS_Y as usize;
        while row < end {
            let v = x[row * channels + channel] - origin;
            sum += v;
            squares += v * v;
            row += DEPTH as usize;
        }
    }
    let (sum, squares) = over_depth(sum, squares);
    if UNIT_POS_Y == 0 && channel < channels {
        let at = 2 * (CUBE_POS_Y as usize * channels + channel);
        partial[at] = sum;
        partial[at + 1] = squares;
    }
}

/// Mean, biased variance and its inverse root from what [`moments`] left.
#[cube(launch_unchecked)]
fn statistics_of(
    x: &Array<f32>,
    partial: &Array<f32>,
    mean: &mut Array<f32>,
    variance: &mut Array<f32>,
    inv_std: &mut Array<f32>,
    rows: usize,
    channels: usize,
    chunks: usize,
    epsilon: f32,
) {
    let channel = CUBE_POS_X as usize * LANES as usize + UNIT_POS_X as usize;
    let (sum, squares) = of_chunks(partial, channel, channels, chunks);
    if UNIT_POS_Y == 0 && channel < channels {
        let count = rows as f32;
        let shift = sum / count;
        let spread = f32::max(squares / count - shift * shift, 0.0f32);
        mean[channel] = x[channel] + shift;
        variance[channel] = spread;
        inv_std[channel] = 1.0f32 / f32::sqrt(spread + epsilon);
    }
}

#[cube(launch_unchecked)]
fn normalise(
    x: &Array<f32>,
    residual: &Array<f32>,
    mean: &Array<f32>,
    inv_std: &Array<f32>,
    weight: &Array<f32>,
    bias: &Array<f32>,
    y: &mut Array<f32>,
    numbers: usize,
    channels: usize,
    #[comptime] add: bool,
    #[comptime] relu: bool,
) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let channel = at % channels;
        let mut v = (x[at] - mean[channel]) * inv_std[channel] * weight[channel] + bias[channel];
        if comptime!(add) {
            v += residual[at];
        }
        if comptime!(relu) {
            v = f32::max(v, 0.0f32);
        }
        y[at] = v;
    }
}

/// Σ g and Σ g·x̂ per chunk and channel, g the gradient behind the ReLU.
#[cube(launch_unchecked)]
fn gradient_sums(
    x: &Array<f32>,
    y: &Array<f32>,
    grad: &Array<f32>,
    mean: &Array<f32>,
    inv_std: &Array<f32>,
    partial: &mut Array<f32>,
    rows: usize,
    channels: usize,
    chunk_rows: usize,
    #[comptime] relu: bool,
) {
    let channel = CUBE_POS_X as usize * LANES as usize + UNIT_POS_X as usize;
    let mut sum = 0.0f32;
    let mut with_normed = 0.0f32;
    if channel < channels {
        let first = CUBE_POS_Y as usize * chunk_rows;
        let end = usize::min(first + chunk_rows, rows);
        let centre = mean[channel];
        let factor = inv_std[channel];
        let mut row = first + UNIT_POS_Y as usize;
        while row < end {
            let at = row * channels + channel;
            let g = behind_relu(grad, y, at, relu);
            sum += g;
            with_normed += g * ((x[at] - centre) * factor);
            row += DEPTH as usize;
        }
    }
    let (sum, with_normed) = over_depth(sum, with_normed);
    if UNIT_POS_Y == 0 && channel < channels {
        let at = 2 * (CUBE_POS_Y as usize * channels + channel);
        partial[at] = sum;
        partial[at + 1] = with_normed;
    }
}

/// The two sums of each channel over all chunks.
#[cube(launch_unchecked)]
fn added_up(
    partial: &Array<f32>,
    first: &mut Array<f32>,
    second: &mut Array<f32>,
    channels: usize,
    chunks: usize,
) {
    let channel = CUBE_POS_X as usize * LANES as usize + UNIT_POS_X as usize;
    let (a, b) = of_chunks(partial, channel, channels, chunks);
    if UNIT_POS_Y == 0 && channel < channels {
        first[channel] = a;
        second[channel] = b;
    }
}

#[cube(launch_unchecked)]
fn gradient_of_input(
    x: &Array<f32>,
    y: &Array<f32>,
    grad: &Array<f32>,
    weight: &Array<f32>,
    mean: &Array<f32>,
    inv_std: &Array<f32>,
    sum: &Array<f32>,
    with_normed: &Array<f32>,
    grad_x: &mut Array<f32>,
    grad_residual: &mut Array<f32>,
    rows: usize,
    numbers: usize,
    channels: usize,
    #[comptime] residual: bool,
    #[comptime] relu: bool,
) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let channel = at % channels;
        let count = rows as f32;
        let g = behind_relu(grad, y, at, relu);
        let normed = (x[at] - mean[channel]) * inv_std[channel];
        let centred = g - sum[channel] / count - normed * (with_normed[channel] / count);
        grad_x[at] = centred * (weight[channel] * inv_std[channel]);
        if comptime!(residual) {
            grad_residual[at] = g;
        }
    }
}

/// The gradient at `at`, zero where the ReLU gave zero.
#[cube]
fn behind_relu(grad: &Array<f32>, y: &Array<f32>, at: usize, #[comptime] relu: bool) -> f32 {
    let mut g = grad[at];
    if comptime!(relu) {
        g = select(y[at] > 0.0f32, g, 0.0f32);
    }
    g
}

/// Two sums over the units of a cube that share a channel; the first of them has the result. To be called by all units.
#[cube]
fn over_depth(a: f32, b: f32) -> (f32, f32) {
    let mut firsts = SharedMemory::<f32>::new((LANES * DEPTH) as usize);
    let mut seconds = SharedMemory::<f32>::new((LANES * DEPTH) as usize);
    let own = (UNIT_POS_Y * LANES + UNIT_POS_X) as usize;
    firsts[own] = a;
    seconds[own] = b;
    sync_cube();
    let mut sum_a = 0.0f32;
    let mut sum_b = 0.0f32;
    if UNIT_POS_Y == 0 {
        let mut at = UNIT_POS_X as usize;
        while at < (LANES * DEPTH) as usize {
            sum_a += firsts[at];
            sum_b += seconds[at];
            at += LANES as usize;
        }
    }
    (sum_a, sum_b)
}

/// The two sums of `channel` over all chunks; the first unit of each channel has the result. To be called by all units.
#[cube]
fn of_chunks(partial: &Array<f32>, channel: usize, channels: usize, chunks: usize) -> (f32, f32) {
    let mut a = 0.0f32;
    let mut b = 0.0f32;
    if channel < channels {
        let mut chunk = UNIT_POS_Y as usize;
        while chunk < chunks {
            let at = 2 * (chunk * channels + channel);
            a += partial[at];
            b += partial[at + 1];
            chunk += DEPTH as usize;
        }
    }
    over_depth(a, b)
}
