//! The geometry shared by convolution and pooling: a square window that moves over an image.

/// A square window of `kernel`×`kernel` pixels, moved by `stride`, over an image padded by `padding` on every side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side of the window in pixels, at least 1.
    pub kernel: usize,
    /// Step between neighbouring windows in pixels, at least 1.
    pub stride: usize,
    /// Pixels added on every side: zeros for a convolution, ignored by max pooling; less than `kernel`.
    pub padding: usize,
}

impl Window {
    /// A window with the given side, step and padding.
    pub const fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel, stride, padding }
    }

    /// The number of windows along a side of `size` pixels: ⌊(size + 2·padding − kernel) / stride⌋ + 1.
    ///
    /// # Panics
    /// If the padded image is smaller than the window.
    pub fn output(&self, size: usize) -> usize {
        let padded = size + 2 * self.padding;
        assert!(padded >= self.kernel, "an image side of {size} is too small for {self:?}");
        (padded - self.kernel) / self.stride + 1
    }

    /// Whether each window is exactly one pixel and every pixel is visited: a convolution is then a plain matrix product.
    pub(crate) fn is_pointwise(&self) -> bool {
        *self == Self::new(1, 1, 0)
    }

    /// The part of the window that lies inside the image when the window starts at output position `at`: the first image pixel and
    /// the range of window positions.
    pub(crate) fn inside(&self, at: usize, size: usize) -> (usize, std::ops::Range<usize>) {
        let start = (at * self.stride) as isize - self.padding as isize;
        let first = (-start).max(0) as usize;
        let last = (size as isize - start).clamp(0, self.kernel as isize) as usize;
        ((start + first as isize) as usize, first..last.max(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_sizes_are_those_of_resnet() {
        assert_eq!(Window::new(7, 2, 3).output(224), 112);
        assert_eq!(Window::new(3, 2, 1).output(112), 56);
        assert_eq!(Window::new(1, 2, 0).output(56), 28);
    }

    #[test]
    fn the_part_inside_the_image_is_cut_at_both_ends() {
        let window = Window::new(3, 2, 1);
        assert_eq!(window.inside(0, 4), (0, 1..3));
        assert_eq!(window.inside(1, 4), (1, 0..3));
        assert_eq!(Window::new(3, 1, 1).inside(3, 4), (2, 0..2));
    }
}
