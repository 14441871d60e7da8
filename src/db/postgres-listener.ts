/** One connection of its own for notifications, opened at the first `listen` and opened again when it breaks. */
import type { Client } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkChannel } from './channel-name.ts';

type Callback = (payload: string) => void;

const RECONNECT_MS = 1000;

export class PostgresListener implements AsyncDisposable {
  readonly #connect: () => Client;
  readonly #callbacks = new Map<string, Set<Callback>>();
  readonly #closing = new AbortController();
  #client: Promise<Client> | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(connect: () => Client) {
    this.#connect = connect;
  }

  async listen(channel: string, onNotify: Callback): Promise<() => Promise<void>> {
    checkChannel(channel);
    const callbacks = this.#callbacks.get(channel) ?? new Set();
    this.#callbacks.set(channel, callbacks);
    callbacks.add(onNotify);
    try {
      await this.#run(`listen ${channel}`);
    } catch (error) {
      callbacks.delete(onNotify);
      throw error;
    }
    return async () => {
      callbacks.delete(onNotify);
      const current = this.#callbacks.get(channel) === callbacks;
      if (!current || callbacks.size > 0 || this.#closing.signal.aborted) return;
      this.#callbacks.delete(channel);
      await this.#run(`unlisten ${channel}`).catch(() => undefined);
    };
  }

  /** The driver wants one statement at a time on a connection. */
  async #run(sql: string): Promise<void> {
    const previous = this.#last;
    this.#last = (async () => {
      await previous.catch(() => undefined);
      this.#client ??= this.#open();
      await (await this.#client).query(sql);
    })();
    await this.#last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await (await this.#client?.catch(() => undefined))?.end();
  }

  async #open(): Promise<Client> {
    const client = this.#connect();
    client.on('notification', (message) => {
      for (const callback of this.#callbacks.get(message.channel) ?? []) callback(message.payload ?? '');
    });
    client.on('error', () => undefined); // 'end' follows
    try {
      await client.connect();
      for (const channel of this.#callbacks.keys()) await client.query(`listen ${channel}`);
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
    client.on('end', () => void this.#reopen());
    return client;
  }

  /** Readers poll as well, so what is notified meanwhile is late but not lost. */
  async #reopen(): Promise<void> {
    this.#client = undefined;
    while (!this.#closing.signal.aborted && this.#client === undefined) {
      await sleep(RECONNECT_MS, undefined, { signal: this.#closing.signal, ref: false }).catch(
        () => undefined,
      );
      if (this.#closing.signal.aborted) return;
      this.#client ??= this.#open();
      await this.#client.catch(() => undefined);
    }
  }
}
