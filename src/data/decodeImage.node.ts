/** Encoded images (JPEG, PNG, WebP) to samples of one size, with sharp. */
import sharp from "sharp";
import { SheafError } from "../util/errors.ts";
import type { SampleShape } from "./dataset.ts";

/** How a picture of other proportions is made to fit: cut at its sides, set between black bars, or pulled out of shape. */
export type Resize = "cover" | "contain" | "stretch";

const fits = { cover: "cover", contain: "contain", stretch: "fill" } as const;
const readable: readonly (string | undefined)[] = ["jpeg", "png", "webp"];

/** Versions of what decodes: other versions may give other pixels. */
export const imageDecoderVersion: string = `sharp ${sharp.versions.sharp ?? ""} libvips ${sharp.versions.vips}`;

/** [H, W, C] to [C, H, W]. */
function toPlanes(interleaved: Uint8Array, { channels, height, width }: SampleShape): Uint8Array {
  if (channels === 1) return new Uint8Array(interleaved.buffer, interleaved.byteOffset, interleaved.length);
  const area = height * width;
  const planes = new Uint8Array(channels * area);
  for (let channel = 0; channel < channels; channel++) {
    for (let i = 0, from = channel, to = channel * area; i < area; i++, from += channels, to++) planes[to] = interleaved[from]!;
  }
  return planes;
}

/**
 * Decodes one image to bytes [channels, height, width]: turned upright as its EXIF data say, transparent parts black, in RGB or grey as the shape
 * asks. `where` names it in errors. Throws `data`, saying what was expected and what it got, for a file that is cut short, damaged or of another format.
 * @example const pixels = await decodeImage(bytes, "cat.jpg", { channels: 3, height: 32, width: 32 }, "cover");
 */
export async function decodeImage(bytes: Uint8Array, where: string, shape: SampleShape, resize: Resize): Promise<Uint8Array> {
  const { channels, height, width } = shape;
  try {
    const image = sharp(bytes);
    const { format } = await image.metadata();
    if (!readable.includes(format)) {
      throw new SheafError("data", `${where}: expected a JPEG, PNG or WebP image, got ${format}; convert it.`);
    }
    const { data, info } = await image
      .rotate()
      .flatten({ background: "black" })
      .resize(width, height, { fit: fits[resize], background: "black" })
      .toColourspace(channels === 1 ? "b-w" : "srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== channels || info.height !== height || info.width !== width) {
      throw new SheafError(
        "data",
        `${where}: expected [${channels}, ${height}, ${width}] after decoding, got [${info.channels}, ${info.height}, ${info.width}].`,
      );
    }
    return toPlanes(data, shape);
  } catch (error) {
    if (error instanceof SheafError) throw error;
    const reason = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new SheafError(
      "data",
      `${where}: expected a whole JPEG, PNG or WebP image, got ${bytes.length} bytes that cannot be decoded (${reason}).`,
      {
        cause: error,
      },
    );
  }
}
