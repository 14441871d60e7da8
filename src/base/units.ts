/** Durations and sizes: read with their unit (`30s`, `8MiB`), shown for people. */
import type { Bytes, Ms } from './brand.ts';
import { KilnError } from './error.ts';

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const SIZE_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

function parseWithUnit(text: string, factors: Readonly<Record<string, number>>, what: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text.trim());
  const factor = match === null ? undefined : factors[match[2] ?? ''];
  if (match === null || factor === undefined) {
    throw new KilnError('invalid-input', `"${text}" is not a ${what}`, {
      hint: `Write a number with one of the units ${Object.keys(factors).join(', ')}.`,
    });
  }
  return Math.round(Number(match[1]) * factor);
}

/** Reads `1500ms`, `30s`, `5m`, `2h`, `7d`. @throws KilnError invalid-input */
export function parseDuration(text: string): Ms {
  return parseWithUnit(text, DURATION_MS, 'duration') as Ms;
}

/** Reads `512B`, `8MiB`, `50GB`. @throws KilnError invalid-input */
export function parseBytes(text: string): Bytes {
  return parseWithUnit(text, SIZE_BYTES, 'size') as Bytes;
}

export const milliseconds = (value: number): Ms => value as Ms;
export const bytes = (value: number): Bytes => value as Bytes;

/** `412 ms`, `3.4 s`, `2 min 05 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, '0')} min`;
}

/** IEC units: `713 B`, `41.2 MiB`. */
export function formatBytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
