/** NAR listings: the `.ls` JSON of binary caches, with the place of each file's contents in the archive. */
import { KilnError } from '../base/error.ts';
import { MAX_DEPTH, NAR_MAGIC, paddingOf } from './nar-format.ts';
import type { NarEvent } from './nar-reader.ts';

export type ListingNode =
  | {
      readonly type: 'regular';
      readonly size: number;
      readonly executable: boolean;
      /** Bytes of the archive before the contents; other servers may leave it out. */
      readonly narOffset?: number;
    }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'directory'; readonly entries: ReadonlyMap<string, ListingNode> };

/** Collects a listing while a NAR is read. Names that are not UTF-8 appear with replacement characters. */
export function createListing(): { add(event: NarEvent): void; root(): ListingNode } {
  let root: ListingNode | undefined;
  const directories: Map<string, ListingNode>[] = [];
  return {
    add(event) {
      if (event.type === 'contents') return;
      const depth = event.path.length;
      const node = toNode(event);
      const name = event.path[depth - 1];
      if (name === undefined) root = node;
      else directories[depth - 1]?.set(Buffer.from(name).toString('utf8'), node);
      if (node.type === 'directory') directories[depth] = node.entries as Map<string, ListingNode>;
    },
    root() {
      if (root !== undefined) return root;
      throw new KilnError('invalid-input', 'The archive holds nothing');
    },
  };
}

/** The `.ls` document. */
export function formatListing(root: ListingNode): string {
  return `{"version":1,"root":${formatNode(root)}}`;
}

/** @throws KilnError invalid-input */
export function parseListing(text: string): ListingNode {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  if (!isObject(json) || json['version'] !== 1) throw invalid('its version is not 1');
  return parseNode(json['root'], 0);
}

/** The node at a relative path without `.`, `..` or empty parts; symbolic links are not followed. */
export function findInListing(root: ListingNode, path: string): ListingNode | undefined {
  let node: ListingNode | undefined = root;
  for (const name of path === '' ? [] : path.split('/')) {
    node = node?.type === 'directory' ? node.entries.get(name) : undefined;
  }
  return node;
}

/** Bytes of the NAR that a tree with these sizes has; exact for names and targets that are UTF-8. */
export function narSizeOf(root: ListingNode): number {
  return stringSize(NAR_MAGIC.length) + nodeSize(root);
}

function nodeSize(node: ListingNode): number {
  const frame = wordsSize('(', 'type', node.type, ')');
  switch (node.type) {
    case 'regular':
      return (
        frame + wordsSize(...(node.executable ? ['executable', ''] : []), 'contents') + stringSize(node.size)
      );
    case 'symlink':
      return frame + wordsSize('target') + stringSize(Buffer.byteLength(node.target));
    case 'directory': {
      const each = wordsSize('entry', '(', 'name', 'node', ')');
      let size = frame;
      for (const [name, child] of node.entries)
        size += each + stringSize(Buffer.byteLength(name)) + nodeSize(child);
      return size;
    }
  }
}

function wordsSize(...words: readonly string[]): number {
  return words.reduce((sum, word) => sum + stringSize(word.length), 0);
}

function stringSize(length: number): number {
  return 8 + length + paddingOf(length);
}

function toNode(event: Exclude<NarEvent, { type: 'contents' }>): ListingNode {
  switch (event.type) {
    case 'regular':
      return { type: 'regular', size: event.size, executable: event.executable, narOffset: event.offset };
    case 'symlink':
      return { type: 'symlink', target: Buffer.from(event.target).toString('utf8') };
    case 'directory':
      return { type: 'directory', entries: new Map() };
  }
}

function formatNode(node: ListingNode): string {
  switch (node.type) {
    case 'symlink':
      return JSON.stringify({ type: 'symlink', target: node.target });
    case 'regular': {
      const { size, executable, narOffset } = node;
      return JSON.stringify({ type: 'regular', size, ...(executable ? { executable } : {}), narOffset });
    }
    case 'directory': {
      const entries = [...node.entries].map(
        ([name, child]) => `${JSON.stringify(name)}:${formatNode(child)}`,
      );
      return `{"type":"directory","entries":{${entries.join(',')}}}`;
    }
  }
}

function parseNode(json: unknown, depth: number): ListingNode {
  if (!isObject(json)) throw invalid('a node is not an object');
  if (depth > MAX_DEPTH) throw invalid(`it is nested deeper than ${MAX_DEPTH}`);
  if (json['type'] === 'symlink' && typeof json['target'] === 'string') {
    return { type: 'symlink', target: json['target'] };
  }
  if (json['type'] === 'regular' && isCount(json['size'])) {
    const narOffset = json['narOffset'];
    if (narOffset !== undefined && !isCount(narOffset)) throw invalid('an offset is no count of bytes');
    const executable = json['executable'] === true;
    return {
      type: 'regular',
      size: json['size'],
      executable,
      ...(narOffset === undefined ? {} : { narOffset }),
    };
  }
  if (json['type'] === 'directory' && isObject(json['entries'])) {
    const entries = Object.entries(json['entries']);
    return {
      type: 'directory',
      entries: new Map(entries.map(([name, child]) => [name, parseNode(child, depth + 1)])),
    };
  }
  throw invalid('a node is no file, directory or link');
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function invalid(reason: string, cause?: unknown): KilnError {
  return new KilnError('invalid-input', `This is not a valid NAR listing: ${reason}`, { cause });
}
