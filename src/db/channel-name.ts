/** Names of notification channels. They become part of SQL, where parameters are not possible. */

/** @throws Error when `channel` is not a lower-case SQL name: a bug, no input of a user comes here. */
export function checkChannel(channel: string): string {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(channel)) throw new Error(`"${channel}" is not a channel name`);
  return channel;
}
