/** File trees as NARs: one byte sequence for each tree. */
import { badNar, entryNameFault, linkTargetFault, MAX_DEPTH, NAR_MAGIC, paddingOf } from './nar-format.ts';

/** A file tree whose contents are read only while they are written. */
export type NarNode =
  | {
      readonly type: 'regular';
      readonly executable: boolean;
      /** Bytes that `contents` gives, exactly. */
      readonly size: number;
      readonly contents: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
    }
  | { readonly type: 'symlink'; readonly target: Uint8Array }
  | {
      readonly type: 'directory';
      /** In any order; names are bytes, they need not be UTF-8. */
      readonly entries: () => readonly NarChild[] | Promise<readonly NarChild[]>;
    };

export interface NarChild {
  readonly name: Uint8Array;
  readonly node: () => NarNode | Promise<NarNode>;
}

/** Framing is collected up to this size, so that a tree of small files does not become a stream of tiny chunks. */
const COALESCE_BYTES = 32 * 1024;

/**
 * Gives the NAR of `root` in chunks. Contents are passed on without a copy.
 * @throws KilnError invalid-input for names, targets or a depth that a NAR cannot have, and when a file gives another
 *   number of bytes than its size (it changed while it was read)
 */
export async function* writeNar(root: NarNode): AsyncGenerator<Uint8Array, void, undefined> {
  const frame = new Frame();
  frame.text(NAR_MAGIC);
  yield* writeNode(root, frame, 0);
  yield frame.take();
}

/** A file held in memory. */
export function narFile(contents: Uint8Array, executable = false): NarNode {
  return { type: 'regular', executable, size: contents.length, contents: () => [contents] };
}

/** A directory held in memory. */
export function narDirectory(children: Readonly<Record<string, NarNode>>): NarNode {
  const entries = Object.entries(children).map(([name, node]) => ({
    name: Buffer.from(name),
    node: () => node,
  }));
  return { type: 'directory', entries: () => entries };
}

async function* writeNode(
  node: NarNode,
  frame: Frame,
  depth: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (depth > MAX_DEPTH) throw badNar(`it is nested deeper than ${MAX_DEPTH}`, frame.offset);
  frame.text('(');
  frame.text('type');
  frame.text(node.type);
  switch (node.type) {
    case 'symlink':
      check(linkTargetFault(node.target), frame);
      frame.text('target');
      frame.string(node.target);
      break;
    case 'regular':
      yield* writeFile(node, frame);
      break;
    case 'directory': {
      const entries = [...(await node.entries())].sort((a, b) => Buffer.compare(a.name, b.name));
      for (const [index, entry] of entries.entries()) {
        check(entryNameFault(entry.name), frame);
        const previous = entries[index - 1];
        if (previous !== undefined && Buffer.compare(previous.name, entry.name) === 0)
          check('a name occurs twice', frame);
        for (const word of ['entry', '(', 'name']) frame.text(word);
        frame.string(entry.name);
        frame.text('node');
        yield* writeNode(await entry.node(), frame, depth + 1);
        frame.text(')');
        if (frame.length >= COALESCE_BYTES) yield frame.take();
      }
      break;
    }
  }
  frame.text(')');
}

async function* writeFile(
  node: Extract<NarNode, { type: 'regular' }>,
  frame: Frame,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (node.executable) {
    frame.text('executable');
    frame.text('');
  }
  frame.text('contents');
  frame.number(node.size);
  let left = node.size;
  for await (const chunk of node.contents()) {
    left -= chunk.length;
    if (left < 0) break;
    if (chunk.length < COALESCE_BYTES / 4) {
      frame.bytes(chunk);
      if (frame.length >= COALESCE_BYTES) yield frame.take();
    } else {
      yield frame.take();
      frame.pass(chunk.length);
      yield chunk;
    }
  }
  if (left !== 0)
    throw badNar('a file has another size than when it was listed; it changed meanwhile', frame.offset);
  frame.bytes(new Uint8Array(paddingOf(node.size)));
}

function check(fault: string | undefined, frame: Frame): void {
  if (fault !== undefined) throw badNar(fault, frame.offset);
}

/** Collects the bytes between contents. */
class Frame {
  #parts: Uint8Array[] = [];
  length = 0;
  /** Bytes of the archive so far, those taken included. */
  offset = 0;

  text(value: string): void {
    this.string(Buffer.from(value));
  }

  string(value: Uint8Array): void {
    this.number(value.length);
    this.bytes(value);
    this.bytes(new Uint8Array(paddingOf(value.length)));
  }

  number(value: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    this.bytes(bytes);
  }

  bytes(value: Uint8Array): void {
    if (value.length === 0) return;
    this.#parts.push(value);
    this.length += value.length;
    this.offset += value.length;
  }

  /** Counts bytes that go past this frame. */
  pass(count: number): void {
    this.offset += count;
  }

  take(): Uint8Array {
    const all = Buffer.concat(this.#parts, this.length);
    this.#parts = [];
    this.length = 0;
    return all;
  }
}
