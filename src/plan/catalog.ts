/**
 * Classes of devices that a fleet is made of. Every figure is an estimate for planning, not a measurement: replace what you know better
 * (`{ like: NAME, macsPerSecond: ... }`), or let the device measure itself.
 */
import type { DeviceProfile } from "./device.ts";

/** What a speed is derived from: cores x clock x float32 multiply-adds per core and cycle x the share of that peak that training reaches. */
export interface SpeedBasis {
  readonly cores: number;
  readonly clockHz: number;
  /** SIMD lanes x units; half of it where there is no fused multiply-add (WebAssembly SIMD). */
  readonly macsPerCycle: number;
  /**
   * Training gathers, multiplies matrices, normalizes and pools; only the product runs near the peak, and narrow sub-models keep it short of that.
   * 0.25 is what out-of-order cores of that kind sustain; less for in-order cores, throttled phones and many cores on one memory.
   * Sub-models of a tenth of the width run at about a third of that speed, which this one figure does not say.
   */
  readonly efficiency: number;
}

/** Sustained multiply-adds per second of a basis. */
export function sustainedMacs({ cores, clockHz, macsPerCycle, efficiency }: SpeedBasis): number {
  return cores * clockHz * macsPerCycle * efficiency;
}

interface CatalogEntry {
  readonly speed: SpeedBasis;
  readonly memoryBytes: number;
  readonly bandwidthBitsPerSecond: number;
  readonly watts: number;
}

/** Names of the catalog's entries. */
export const catalogNames = [
  "raspberry-pi-3",
  "raspberry-pi-4",
  "raspberry-pi-5",
  "jetson-nano",
  "jetson-orin-nano",
  "phone-low",
  "phone-mid",
  "phone-high",
  "laptop-browser",
  "laptop",
  "desktop",
  "server",
] as const;

export type CatalogName = (typeof catalogNames)[number];

/**
 * The figures. Memory is what is left for training beside the system (in a tab: what a browser grants before it kills it). Bandwidth is a
 * usual sustained rate of the usual link, upload where it is the slower. Watts are the whole device under load, screen not counted.
 */
const entries: { readonly [N in CatalogName]: CatalogEntry } = {
  // BCM2837B0: 4 Cortex-A53 at 1.4 GHz, one 128-bit NEON multiply-add per cycle, in order: 22.4 peak, estimate 3.4 GMAC/s. 1 GB RAM. 2.4 GHz wireless. About 5 W.
  "raspberry-pi-3": {
    speed: { cores: 4, clockHz: 1.4e9, macsPerCycle: 4, efficiency: 0.15 },
    memoryBytes: 0.6e9,
    bandwidthBitsPerSecond: 40e6,
    watts: 5,
  },
  // BCM2711: 4 Cortex-A72 at 1.5 GHz, 4 lanes per cycle: 24 peak, estimate 6 GMAC/s. 4 GB RAM. 5 GHz wireless. About 6.5 W.
  "raspberry-pi-4": {
    speed: { cores: 4, clockHz: 1.5e9, macsPerCycle: 4, efficiency: 0.25 },
    memoryBytes: 3e9,
    bandwidthBitsPerSecond: 80e6,
    watts: 6.5,
  },
  // BCM2712: 4 Cortex-A76 at 2.4 GHz, two 128-bit units: 76.8 peak, estimate 19 GMAC/s. 8 GB RAM. 5 GHz wireless. About 9 W.
  "raspberry-pi-5": {
    speed: { cores: 4, clockHz: 2.4e9, macsPerCycle: 8, efficiency: 0.25 },
    memoryBytes: 6e9,
    bandwidthBitsPerSecond: 100e6,
    watts: 9,
  },
  // 4 Cortex-A57 at 1.43 GHz, 4 lanes per cycle: 22.9 peak, estimate 5.7 GMAC/s; its GPU is not counted. 4 GB RAM, shared with the GPU. Wired. 10 W mode.
  "jetson-nano": {
    speed: { cores: 4, clockHz: 1.43e9, macsPerCycle: 4, efficiency: 0.25 },
    memoryBytes: 2.5e9,
    bandwidthBitsPerSecond: 300e6,
    watts: 10,
  },
  // 6 Cortex-A78AE at 1.5 GHz, two 128-bit units: 72 peak, estimate 18 GMAC/s; its GPU is not counted. 8 GB RAM, shared with the GPU. Wired. 15 W mode.
  "jetson-orin-nano": {
    speed: { cores: 6, clockHz: 1.5e9, macsPerCycle: 8, efficiency: 0.25 },
    memoryBytes: 6e9,
    bandwidthBitsPerSecond: 300e6,
    watts: 15,
  },
  // In a tab, WebAssembly SIMD: 4 in-order cores at 2.0 GHz, 2 multiply-adds per cycle: 16 peak, estimate 2.4 GMAC/s. Mobile upload. About 2.5 W.
  "phone-low": {
    speed: { cores: 4, clockHz: 2.0e9, macsPerCycle: 2, efficiency: 0.15 },
    memoryBytes: 0.4e9,
    bandwidthBitsPerSecond: 10e6,
    watts: 2.5,
  },
  // In a tab: 2 big cores at 2.4 GHz, 4 per cycle (two 128-bit units, no fused multiply-add): 19.2 peak, estimate 4.8 GMAC/s. Wireless. About 3.5 W.
  "phone-mid": {
    speed: { cores: 2, clockHz: 2.4e9, macsPerCycle: 4, efficiency: 0.25 },
    memoryBytes: 0.8e9,
    bandwidthBitsPerSecond: 30e6,
    watts: 3.5,
  },
  // In a tab: 4 big cores at 2.8 GHz, 8 per cycle (four 128-bit units, no fused multiply-add), throttled: 89.6 peak, estimate 18 GMAC/s. Wireless. About 5 W.
  "phone-high": {
    speed: { cores: 4, clockHz: 2.8e9, macsPerCycle: 8, efficiency: 0.2 },
    memoryBytes: 1.5e9,
    bandwidthBitsPerSecond: 80e6,
    watts: 5,
  },
  // In a tab: 4 cores at 3.0 GHz, 4 per cycle (two 128-bit units, no fused multiply-add): 48 peak, estimate 12 GMAC/s. A WebAssembly memory ends at 4 GB. About 25 W.
  "laptop-browser": {
    speed: { cores: 4, clockHz: 3.0e9, macsPerCycle: 4, efficiency: 0.25 },
    memoryBytes: 2e9,
    bandwidthBitsPerSecond: 50e6,
    watts: 25,
  },
  // 4 cores at 3.0 GHz with AVX2, two 256-bit multiply-add units: 192 peak, estimate 48 GMAC/s. 16 GB RAM, half of it free. About 28 W.
  laptop: {
    speed: { cores: 4, clockHz: 3.0e9, macsPerCycle: 16, efficiency: 0.25 },
    memoryBytes: 8e9,
    bandwidthBitsPerSecond: 50e6,
    watts: 28,
  },
  // 8 cores at 4.0 GHz with AVX2: 512 peak, estimate 128 GMAC/s. 32 GB RAM. Wired. About 120 W.
  desktop: {
    speed: { cores: 8, clockHz: 4.0e9, macsPerCycle: 16, efficiency: 0.25 },
    memoryBytes: 20e9,
    bandwidthBitsPerSecond: 200e6,
    watts: 120,
  },
  // 32 cores at 2.5 GHz with AVX-512, two 512-bit units: 2560 peak, estimate 512 GMAC/s (32 cores share one memory). 128 GB RAM. Wired. About 350 W.
  server: {
    speed: { cores: 32, clockHz: 2.5e9, macsPerCycle: 32, efficiency: 0.2 },
    memoryBytes: 100e9,
    bandwidthBitsPerSecond: 1e9,
    watts: 350,
  },
};

/** What each entry's speed is derived from. */
export function speedBasis(name: CatalogName): SpeedBasis {
  return entries[name].speed;
}

/** Profiles of common classes of devices, by name. */
export const catalog: { readonly [N in CatalogName]: DeviceProfile } = Object.fromEntries(
  catalogNames.map((name) => {
    const { speed, ...rest } = entries[name];
    return [name, { name, macsPerSecond: sustainedMacs(speed), ...rest }];
  }),
) as { [N in CatalogName]: DeviceProfile };
