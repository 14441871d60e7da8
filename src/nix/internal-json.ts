/** Nix's `--log-format internal-json`: one JSON document per stderr line after `@nix `, read into typed events. Pure. */
import { stripVTControlCharacters } from 'node:util';
import type { StorePath } from '../base/brand.ts';
import { isStorePath } from '../store/store-path.ts';

export type NixEvent =
  | { readonly type: 'message'; readonly level: number; readonly text: string }
  | { readonly type: 'error'; readonly text: string }
  | { readonly type: 'build-started'; readonly drvPath: StorePath; readonly machine?: string }
  | { readonly type: 'build-finished'; readonly drvPath: StorePath; readonly ok: boolean }
  /** Another process builds it, or no builder is free. */
  | { readonly type: 'build-waiting'; readonly drvPath: StorePath; readonly text: string }
  | { readonly type: 'phase'; readonly drvPath: StorePath; readonly phase: string }
  /** One line of a builder's output; `hook` for the post-build hook's. */
  | { readonly type: 'log'; readonly drvPath?: StorePath; readonly line: string; readonly hook?: boolean }
  | { readonly type: 'transfer-started'; readonly id: number; readonly transfer: Transfer }
  /** Bytes; `expected` is 0 while unknown. */
  | {
      readonly type: 'transfer-progress';
      readonly id: number;
      readonly transfer: Transfer;
      readonly done: number;
      readonly expected: number;
    }
  | { readonly type: 'transfer-finished'; readonly id: number; readonly transfer: Transfer }
  /** How many derivations are built, expected in all, running and failed. */
  | {
      readonly type: 'totals';
      readonly of: 'builds' | 'copies';
      readonly done: number;
      readonly expected: number;
      readonly running: number;
      readonly failed: number;
    }
  /** Anything else Nix does that takes time: evaluation, queries, fetching a source. */
  | { readonly type: 'activity'; readonly text: string };

export type Transfer =
  | { readonly kind: 'copy'; readonly path: string; readonly from: string; readonly to: string }
  | { readonly kind: 'substitute'; readonly path: string; readonly from: string }
  | { readonly kind: 'download'; readonly url: string };

/** Activity and result numbers of Nix's `logging.hh`. */
const ACTIVITY = {
  copyPath: 100,
  fileTransfer: 101,
  copyPaths: 103,
  builds: 104,
  build: 105,
  substitute: 108,
} as const;
const ACTIVITY_WAITING = 111;
const ACTIVITY_HOOK = 110;
const RESULT = { logLine: 101, phase: 104, progress: 105, hookLine: 107, fetchStatus: 108 } as const;

interface Activity {
  readonly kind: number;
  readonly drvPath?: StorePath;
  readonly transfer?: Transfer;
}

interface RawLine {
  readonly action?: unknown;
  readonly id?: unknown;
  readonly level?: unknown;
  readonly msg?: unknown;
  readonly text?: unknown;
  readonly type?: unknown;
  readonly fields?: unknown;
}

/** Returns a function to be called with each line of stderr; lines that are no JSON become messages. Never throws. */
export function createNixLogReader(onEvent: (event: NixEvent) => void): (line: string) => void {
  const activities = new Map<number, Activity>();
  let doneBuilds = 0;
  let reportedBuilds = 0;

  const start = (raw: RawLine, id: number): void => {
    const activity = describeActivity(raw);
    activities.set(id, activity);
    if (activity.kind === ACTIVITY.build && activity.drvPath !== undefined) {
      const machine = textField(raw, 1);
      onEvent({ type: 'build-started', drvPath: activity.drvPath, ...(machine === '' ? {} : { machine }) });
    } else if (activity.kind === ACTIVITY_WAITING && activity.drvPath !== undefined) {
      onEvent({ type: 'build-waiting', drvPath: activity.drvPath, text: plain(raw.text) });
    } else if (activity.transfer !== undefined) {
      onEvent({ type: 'transfer-started', id, transfer: activity.transfer });
    } else if (plain(raw.text) !== '') {
      onEvent({ type: 'activity', text: plain(raw.text) });
    }
  };

  const stop = (id: number): void => {
    const activity = activities.get(id);
    activities.delete(id);
    if (activity?.kind === ACTIVITY.build && activity.drvPath !== undefined) {
      // Nix counts a success just before it ends the activity; nothing else tells the two ends apart.
      const ok = doneBuilds > reportedBuilds;
      if (ok) reportedBuilds++;
      onEvent({ type: 'build-finished', drvPath: activity.drvPath, ok });
    } else if (activity?.transfer !== undefined) {
      onEvent({ type: 'transfer-finished', id, transfer: activity.transfer });
    }
  };

  const result = (raw: RawLine, id: number): void => {
    const activity = activities.get(id);
    const drv = activity?.drvPath === undefined ? {} : { drvPath: activity.drvPath };
    if (raw.type === RESULT.logLine) onEvent({ type: 'log', ...drv, line: textField(raw, 0) });
    else if (raw.type === RESULT.hookLine)
      onEvent({ type: 'log', ...drv, line: textField(raw, 0), hook: true });
    else if (raw.type === RESULT.fetchStatus) onEvent({ type: 'activity', text: textField(raw, 0) });
    else if (raw.type === RESULT.phase && activity?.drvPath !== undefined) {
      onEvent({ type: 'phase', drvPath: activity.drvPath, phase: textField(raw, 0) });
    } else if (raw.type === RESULT.progress && activity !== undefined) {
      const [done, expected, running, failed] = [0, 1, 2, 3].map((index) => numberField(raw, index));
      const counts = { done: done ?? 0, expected: expected ?? 0, running: running ?? 0, failed: failed ?? 0 };
      if (activity.transfer !== undefined) {
        const { done: bytes, expected: size } = counts;
        onEvent({ type: 'transfer-progress', id, transfer: activity.transfer, done: bytes, expected: size });
      } else if (activity.kind === ACTIVITY.builds) {
        doneBuilds = Math.max(doneBuilds, counts.done);
        onEvent({ type: 'totals', of: 'builds', ...counts });
      } else if (activity.kind === ACTIVITY.copyPaths) onEvent({ type: 'totals', of: 'copies', ...counts });
    }
  };

  return (line) => {
    const raw = parseLine(line);
    if (raw === undefined) {
      if (line.trim() !== '') onEvent(looseLine(line));
      return;
    }
    const id = typeof raw.id === 'number' ? raw.id : 0;
    if (raw.action === 'start') start(raw, id);
    else if (raw.action === 'stop') stop(id);
    else if (raw.action === 'result') result(raw, id);
    else if (raw.action === 'msg') onEvent(message(raw));
  };
}

function parseLine(line: string): RawLine | undefined {
  if (!line.startsWith('@nix ')) return undefined;
  try {
    const raw: unknown = JSON.parse(line.slice(5));
    return typeof raw === 'object' && raw !== null ? (raw as RawLine) : undefined;
  } catch {
    return undefined;
  }
}

/** Usage errors and crashes come before the JSON logger is in place. */
function looseLine(line: string): NixEvent {
  const text = plain(line);
  return text.startsWith('error:')
    ? { type: 'error', text: withoutPrefix(text) }
    : { type: 'message', level: 3, text };
}

function message(raw: RawLine): NixEvent {
  const text = plain(raw.msg);
  if (raw.level !== 0 || !text.startsWith('error:')) {
    return { type: 'message', level: typeof raw.level === 'number' ? raw.level : 3, text };
  }
  return { type: 'error', text: withoutPrefix(text) };
}

function describeActivity(raw: RawLine): Activity {
  const kind = typeof raw.type === 'number' ? raw.type : 0;
  const [first, second, third] = [textField(raw, 0), textField(raw, 1), textField(raw, 2)];
  switch (kind) {
    case ACTIVITY.build:
    case ACTIVITY_WAITING:
    case ACTIVITY_HOOK:
      return { kind, ...(isStorePath(first) ? { drvPath: first } : {}) };
    case ACTIVITY.copyPath:
      return { kind, transfer: { kind: 'copy', path: first, from: second, to: third } };
    case ACTIVITY.substitute:
      return { kind, transfer: { kind: 'substitute', path: first, from: second } };
    case ACTIVITY.fileTransfer:
      return { kind, transfer: { kind: 'download', url: first } };
    default:
      return { kind };
  }
}

function textField(raw: RawLine, index: number): string {
  const field: unknown = Array.isArray(raw.fields) ? raw.fields[index] : undefined;
  return typeof field === 'string' ? field : '';
}

function numberField(raw: RawLine, index: number): number {
  const field: unknown = Array.isArray(raw.fields) ? raw.fields[index] : undefined;
  return typeof field === 'number' && Number.isFinite(field) ? field : 0;
}

function plain(text: unknown): string {
  return typeof text === 'string' ? stripVTControlCharacters(text) : '';
}

function withoutPrefix(text: string): string {
  return text.replace(/^error:[ \t]*\n?/, '');
}
