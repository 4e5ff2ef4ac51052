/** What the planner knows of a device, and how a configuration says it. */
import { z } from "zod";
import { SheafError } from "../util/errors.ts";
import { type CatalogName, catalog, catalogNames } from "./catalog.ts";

/** A device as the planner sees it. */
export interface DeviceProfile {
  readonly name: string;
  /** Sustained float32 multiply-adds per second in training, not the peak. */
  readonly macsPerSecond: number;
  /** Memory that training may use. */
  readonly memoryBytes: number;
  /** The slower direction counts. */
  readonly bandwidthBitsPerSecond: number;
  /** Power drawn while training; without it no energy is planned. */
  readonly watts?: number;
  /** Classes the device would like to own, dearest first. */
  readonly preferredClasses?: readonly number[];
}

/** How a configuration may state a profile: a catalog entry's name, `like` an entry with changes, or every figure. */
export type ProfileConfig =
  | CatalogName
  | ({ readonly like: CatalogName } & { readonly [K in keyof DeviceProfile]?: DeviceProfile[K] | undefined })
  | DeviceProfile;

const figures = {
  macsPerSecond: z.number().positive(),
  memoryBytes: z.number().positive(),
  bandwidthBitsPerSecond: z.number().positive(),
  watts: z.number().positive(),
  preferredClasses: z.array(z.int().nonnegative()),
};

const catalogName = z.enum(catalogNames);

const fullProfile = z.strictObject({
  name: z.string().min(1),
  ...figures,
  watts: figures.watts.optional(),
  preferredClasses: figures.preferredClasses.optional(),
});

const changedProfile = z.strictObject({ like: catalogName, name: z.string().min(1).optional(), ...z.object(figures).partial().shape });

/** Drops keys whose value is undefined, so that they do not hide a catalog figure. */
function given<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

/**
 * Reads a profile from a configuration.
 * @example profileSchema.parse("raspberry-pi-4")
 * @example profileSchema.parse({ like: "phone-mid", memoryBytes: 512e6, preferredClasses: [3, 5] })
 */
export const profileSchema: z.ZodType<DeviceProfile> = z.union([
  catalogName.transform((name): DeviceProfile => catalog[name]),
  changedProfile.transform(({ like, ...changes }): DeviceProfile => ({ ...catalog[like], ...given(changes) })),
  fullProfile.transform((profile): DeviceProfile => given(profile) as DeviceProfile),
]);

/** The profile that a configuration value means. Throws `config` with the reason when it means none. */
export function resolveProfile(config: unknown): DeviceProfile {
  const schema =
    typeof config === "string"
      ? catalogName
      : typeof config === "object" && config !== null && "like" in config
        ? changedProfile
        : fullProfile;
  const checked = schema.safeParse(config);
  if (checked.success) return profileSchema.parse(config);
  if (typeof config === "string") {
    throw new SheafError("config", `No device profile is called "${config}"; the catalog has ${catalogNames.join(", ")}.`);
  }
  const [issue] = checked.error.issues;
  const where = issue?.path.length ? ` at "${issue.path.join(".")}"` : "";
  throw new SheafError(
    "config",
    `A device profile is not as expected${where}: ${issue?.message ?? "unknown reason"}; give a catalog name, { like: NAME, ...changes }, or name, macsPerSecond, memoryBytes and bandwidthBitsPerSecond.`,
  );
}
