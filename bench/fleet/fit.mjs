/** Straight lines through points, by least squares. */

/** Slope of y over x, and its standard error (Infinity for fewer than three points). */
export function line(points) {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  const rest = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  return { slope, error: n > 2 ? Math.sqrt(rest / (n - 2) / spread) : Number.POSITIVE_INFINITY, meanY };
}

/** The power of x by which y grows: 1 is linear. */
export const exponent = (points) => line(points.map(([x, y]) => [Math.log(x), Math.log(y)])).slope;
