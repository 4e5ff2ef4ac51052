/** The part that Sheaf uses of the package `fourier-transform`, which comes without types. */
declare module "fourier-transform" {
  /**
   * Discrete Fourier transform of a real signal whose length is a power of two, unnormalized: real and imaginary parts of bins 0 to length / 2.
   * The arrays are the package's own and hold until the next call for the same length.
   */
  export function fft(input: Float64Array): [re: Float64Array, im: Float64Array];
}
