/** The options of `kiln build` that say how the image runs; they win over `kiln.toml` and the expression. */
import type { Command } from 'commander';
import { KilnError } from '../base/error.ts';
import type { ImageSettings } from '../image/image-settings.ts';

export interface ImageFlags {
  readonly entrypoint?: string;
  readonly cmd?: string;
  readonly port: string[];
  readonly user?: string;
  readonly workdir?: string;
  readonly label: string[];
  readonly writable: string[];
  readonly base?: string;
  readonly shell: boolean;
}

export function addImageFlags(command: Command): Command {
  const collect = (value: string, before: string[]): string[] => [...before, value];
  return command
    .option('--entrypoint <command>', 'program that the image runs, with fixed arguments, as shell words')
    .option('--cmd <arguments>', 'default arguments, as shell words')
    .option('--port <port>', 'TCP port that the program listens on (repeatable)', collect, [])
    .option('--user <uid[:gid]>', 'numeric user')
    .option('--workdir <folder>', 'working directory')
    .option('--label <NAME=VALUE>', 'label of the image (repeatable)', collect, [])
    .option('--writable <folder>', 'folder that the user may write to (repeatable)', collect, [])
    .option('--base <reference>', 'image that lies below')
    .option('--no-shell', 'do not link /bin/sh');
}

/** Undefined where none was given. Values are checked with the rest of the request. @throws KilnError usage */
export function readImageFlags(flags: ImageFlags): ImageSettings | undefined {
  const settings: ImageSettings = {
    ...(flags.entrypoint === undefined ? {} : { entrypoint: shellWords(flags.entrypoint) }),
    ...(flags.cmd === undefined ? {} : { cmd: shellWords(flags.cmd) }),
    ...(flags.port.length === 0 ? {} : { ports: flags.port.map(Number) }),
    ...(flags.user === undefined ? {} : { user: flags.user }),
    ...(flags.workdir === undefined ? {} : { workdir: flags.workdir }),
    ...(flags.label.length === 0 ? {} : { labels: Object.fromEntries(flags.label.map(parseLabel)) }),
    ...(flags.writable.length === 0 ? {} : { writable: flags.writable }),
    ...(flags.base === undefined ? {} : { base: flags.base }),
    ...(flags.shell ? {} : { shell: false }),
  };
  return Object.keys(settings).length === 0 ? undefined : settings;
}

/** Words as a shell splits them: by white space, with '…', "…" and \. Nothing is expanded. @throws KilnError usage */
export function shellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === '\\' && quote !== "'" && at + 1 < text.length) word = (word ?? '') + text.charAt(++at);
    else if (quote !== '') {
      if (char === quote) quote = '';
      else word += char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + char;
  }
  if (quote !== '') throw new KilnError('usage', `${text}: the quotation mark ${quote} is not closed`);
  return word === undefined ? words : [...words, word];
}

function parseLabel(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals < 1) throw new KilnError('usage', `--label ${text}: no NAME=VALUE`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
