/** Pictures to samples, by the browser's own decoders. A picture that has the size already gives the same bytes as `sheaf data` does in Node. */
import type { SampleShape } from "../../src/data/dataset.ts";
import type { SamplePreparation } from "../../src/protocol/samples.ts";
import { SheafError } from "../../src/util/errors.ts";

type Resize = SamplePreparation["resize"];

/** Where a picture comes to lie in a frame. */
export interface Placement {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Fills the frame and is cut at its sides, is whole between black bars, or is pulled out of shape. */
export function placePicture(picture: { readonly width: number; readonly height: number }, frame: SampleShape, resize: Resize): Placement {
  if (resize === "stretch") return { left: 0, top: 0, width: frame.width, height: frame.height };
  const ratios = [frame.width / picture.width, frame.height / picture.height] as const;
  const scale = resize === "cover" ? Math.max(...ratios) : Math.min(...ratios);
  const [width, height] = [picture.width * scale, picture.height * scale];
  return { left: (frame.width - width) / 2, top: (frame.height - height) / 2, width, height };
}

/** Linear light of each value of sRGB (IEC 61966-2-1). */
const linear = Float64Array.from({ length: 256 }, (_, value) => {
  const x = value / 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
});

/** Grey of the same luminance (Rec. 709), back in sRGB. */
function grey(red: number, green: number, blue: number): number {
  if (red === green && green === blue) return red;
  const y = 0.2126 * (linear[red] as number) + 0.7152 * (linear[green] as number) + 0.0722 * (linear[blue] as number);
  return Math.round(255 * (y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055));
}

/** [H, W, RGBA] to [C, H, W]. */
export function toPlanes(rgba: Uint8ClampedArray, { channels, height, width }: SampleShape): Uint8Array {
  const area = height * width;
  const planes = new Uint8Array(channels * area);
  for (let i = 0; i < area; i++) {
    const [red, green, blue] = [rgba[4 * i] as number, rgba[4 * i + 1] as number, rgba[4 * i + 2] as number];
    if (channels === 1) planes[i] = grey(red, green, blue);
    else {
      planes[i] = red;
      planes[area + i] = green;
      planes[2 * area + i] = blue;
    }
  }
  return planes;
}

/** A decoder of pictures to bytes [channels, height, width]: upright, transparent parts black, in RGB or grey as the shape asks. Throws `data` for what is no picture. */
export function openPictureDecoder(shape: SampleShape, resize: Resize): (file: Blob, name: string) => Promise<Uint8Array> {
  const canvas = new OffscreenCanvas(shape.width, shape.height);
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  if (!context) throw new SheafError("unavailable", "This browser gives no canvas to read pictures with.");
  context.imageSmoothingQuality = "high";
  return async (file, name) => {
    let picture: ImageBitmap;
    try {
      picture = await createImageBitmap(file);
    } catch (cause) {
      throw new SheafError("data", `${name} is no picture that this browser can read.`, { cause });
    }
    try {
      context.fillStyle = "black";
      context.fillRect(0, 0, shape.width, shape.height);
      const { left, top, width, height } = placePicture(picture, shape, resize);
      context.drawImage(picture, left, top, width, height);
      return toPlanes(context.getImageData(0, 0, shape.width, shape.height).data, shape);
    } finally {
      picture.close();
    }
  };
}
