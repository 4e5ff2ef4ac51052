/** Films for Chromium's fake camera, which plays one file over and over: YUV4MPEG2 of one picture, enlarged. */

const enlargement = 8;

/** A film of one RGB picture of even sides, [3, side, side]; colours as ITU-R BT.601 has them, with half the resolution of light (4:2:0). */
export function filmOf(picture: Uint8Array, side: number): Buffer {
  const [size, area] = [side * enlargement, side * side];
  const at = (x: number, y: number): readonly [number, number, number] => {
    const from = side * Math.floor(y / enlargement) + Math.floor(x / enlargement);
    return [picture[from] ?? 0, picture[area + from] ?? 0, picture[2 * area + from] ?? 0];
  };
  const plane = (step: number, value: (red: number, green: number, blue: number) => number): Buffer => {
    const width = size / step;
    return Buffer.from(
      Array.from({ length: width * width }, (_, i) => Math.round(value(...at(step * (i % width), step * Math.floor(i / width))))),
    );
  };
  const frame = Buffer.concat([
    Buffer.from("FRAME\n"),
    plane(1, (r, g, b) => 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255),
    plane(2, (r, g, b) => 128 + (-37.797 * r - 74.203 * g + 112 * b) / 255),
    plane(2, (r, g, b) => 128 + (112 * r - 93.786 * g - 18.214 * b) / 255),
  ]);
  return Buffer.concat([Buffer.from(`YUV4MPEG2 W${size} H${size} F10:1 Ip A1:1 C420jpeg\n`), frame, frame]);
}
