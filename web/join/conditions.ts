/** What the page knows of the device around it: battery, visibility, the screen's sleep. */

interface Battery extends EventTarget {
  readonly charging: boolean;
}

/** Tells now and whenever it changes whether the device is being charged; nothing where the browser does not say. Returns whether it does. */
export async function watchPower(tell: (isOnPower: boolean) => void): Promise<boolean> {
  const { getBattery } = navigator as { getBattery?: () => Promise<Battery> };
  const battery = await getBattery?.call(navigator).catch(() => undefined);
  if (!battery) return false;
  tell(battery.charging);
  battery.addEventListener("chargingchange", () => tell(battery.charging));
  return true;
}

/** Keeps the screen on while it is held and the page is seen. */
export interface WakeLock {
  hold(isHeld: boolean): void;
}

/** Opens a lock that is not held. */
export function openWakeLock(): WakeLock {
  let wanted = false;
  let lock: WakeLockSentinel | undefined;
  const settle = async (): Promise<void> => {
    if (!wanted) {
      await lock?.release();
      lock = undefined;
    } else if (document.visibilityState === "visible" && (!lock || lock.released)) {
      lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
    }
  };
  // The browser takes it back when the page is hidden.
  document.addEventListener("visibilitychange", () => void settle());
  return {
    hold(isHeld) {
      if (wanted === isHeld) return;
      wanted = isHeld;
      void settle();
    },
  };
}

/** A name by which people tell this device from others. */
export function suggestedName(): string {
  const { userAgent } = navigator;
  const browser = /Firefox|Edg|Chrome|Safari/.exec(userAgent)?.[0] ?? "Browser";
  const system = /Android|iPhone|iPad|Windows|Mac OS|CrOS|Linux/.exec(userAgent)?.[0];
  const tail = crypto.getRandomValues(new Uint8Array(2)).reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");
  return `${browser === "Edg" ? "Edge" : browser}${system ? ` on ${system}` : ""} ${tail}`;
}
