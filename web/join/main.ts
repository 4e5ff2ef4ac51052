/** The join page: mounts it. */
import "../shared/base.css";
import "./join.css";
import { mount } from "svelte";
import Join from "./Join.svelte";

const target = document.getElementById("page");
if (target) mount(Join, { target });
// The page opens without a line from then on. Where a browser refuses (no secure connection, a certificate that it does not know), all else works.
void navigator.serviceWorker?.register("/sw.js").catch(() => undefined);
