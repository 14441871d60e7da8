/** The `.ls` document of a store path, from the same walk as its NAR. */
import { type NarVisitor, narLayout } from './nar-layout.ts';
import type { StoreLocation } from './walk-store-path.ts';

/** JSON with the offset of each file's contents. Names that are not UTF-8 appear with replacement characters. */
export function narListingText(storePath: string, location: StoreLocation): Buffer {
  const writer = new ListingWriter();
  narLayout(storePath, location, writer);
  return Buffer.from(`{"version":1,"root":${writer.parts.join('')}}`);
}

class ListingWriter implements NarVisitor {
  readonly parts: string[] = [];
  #depth = 0;
  #first = true;

  file(name: string, executable: boolean, size: number, offset: number): void {
    this.#name(name);
    const mark = executable ? '"executable":true,' : '';
    this.parts.push(`{"type":"regular","size":${size},${mark}"narOffset":${offset}}`);
  }

  link(name: string, target: string): void {
    this.#name(name);
    this.parts.push(`{"type":"symlink","target":${quote(target)}}`);
  }

  enter(name: string): void {
    this.#name(name);
    this.parts.push('{"type":"directory","entries":{');
    this.#depth++;
    this.#first = true;
  }

  leave(): void {
    this.parts.push('}}');
    this.#depth--;
    this.#first = false;
  }

  #name(name: string): void {
    if (this.#depth === 0) return;
    this.parts.push(`${this.#first ? '' : ','}${quote(name)}:`);
    this.#first = false;
  }
}

function quote(bytes: string): string {
  return JSON.stringify(Buffer.from(bytes, 'latin1').toString('utf8'));
}
