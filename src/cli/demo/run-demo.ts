export async function runDemo(_context: unknown, _options: unknown): Promise<void> {
  await Promise.resolve();
}
