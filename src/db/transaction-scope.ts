/** Tells whether the code that runs is inside a transaction, to make a certain deadlock an error instead. */
import { AsyncLocalStorage } from 'node:async_hooks';

interface Scope {
  open: boolean;
}

/**
 * Using the database itself inside a transaction's work waits for a connection that the transaction may hold:
 * always on the embedded database, under load on PostgreSQL. Both refuse it, so that tests on either kind find it.
 */
export class TransactionScope {
  readonly #scopes = new AsyncLocalStorage<Scope>();

  async run<T>(work: () => Promise<T>): Promise<T> {
    this.refuseInside();
    const scope: Scope = { open: true };
    try {
      return await this.#scopes.run(scope, work);
    } finally {
      scope.open = false;
    }
  }

  refuseInside(): void {
    if (this.#scopes.getStore()?.open === true) {
      throw new Error('A query inside a transaction must use the transaction, not the database');
    }
  }
}
