/** Offset tables that were used lately, the least used ones dropped when they outgrow a limit. */

export class LayoutCache<T extends { readonly memory: number }> {
  readonly #layouts = new Map<string, T>();
  readonly #limit: number;
  #used = 0;

  /** @param limit bytes of memory; the newest table is kept whatever its size */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string, make: () => T): T {
    const known = this.#layouts.get(key);
    if (known !== undefined) {
      this.#layouts.delete(key);
      this.#layouts.set(key, known);
      return known;
    }
    const layout = make();
    this.#layouts.set(key, layout);
    this.#used += layout.memory;
    for (const [oldest, old] of this.#layouts) {
      if (this.#used <= this.#limit || old === layout) break;
      this.#layouts.delete(oldest);
      this.#used -= old.memory;
    }
    return layout;
  }

  /** Drops a table, so that the next reader looks at the store again. */
  forget(key: string): void {
    const known = this.#layouts.get(key);
    if (known !== undefined && this.#layouts.delete(key)) this.#used -= known.memory;
  }
}
