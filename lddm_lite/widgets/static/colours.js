// The palettes, those of lddm_lite/plots/style.py among them, and arithmetic with colours.
import { clamp } from "./numbers.js";

export const REVEAL = ["#00224e", "#083370", "#35456c", "#4f576c", "#666970", "#7d7c78", "#948e77", "#aea371", "#c8b866", "#e5cf52", "#fee838"];
export const CYCLE = ["#7ba1c2", "#6276ba", "#5e43a5", "#4e186f", "#2f1436", "#581647", "#8e2c50", "#b25652", "#c68a6d", "#c9b3a2", "#a9b7be"];
export const GROUPS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00", "#4b2e83", "#8a8a8a"];
export const PALETTES = {
  light: { paper: "#ffffff", ink: "#1c2127", soft: "#565f69", line: "#c3c9cf", mask: "#d9dee3", maskInk: "#4f5963", accent: "#b34700", bit0: "#f2e9d8", bit1: "#12355b" },
  dark: { paper: "#15191e", ink: "#eef1f4", soft: "#aab4be", line: "#4a545e", mask: "#38424c", maskInk: "#b9c3cc", accent: "#ff9d4d", bit0: "#f2e9d8", bit1: "#4f83bd" },
};

export const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));

// colour at u in [0, 1] of a list of colours; `around`: the list is a circle
export function ramp(colours, u, around = false) {
  const n = around ? colours.length : colours.length - 1;
  const at = clamp(u, 0, around ? 0.999999 : 1) * n, i = Math.min(Math.floor(at), n - (around ? 0 : 1)), f = at - i;
  const a = rgb(colours[i % colours.length]), b = rgb(colours[(i + 1) % colours.length]);
  return "#" + a.map((v, k) => Math.round(v + f * (b[k] - v)).toString(16).padStart(2, "0")).join("");
}

function luminance(hex) {
  const [r, g, b] = rgb(hex).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
// black or white text, whichever has the larger contrast on a colour (at least 4.58:1 on any)
export const inkOn = (hex) => (luminance(hex) > 0.179 ? "#000000" : "#ffffff");
