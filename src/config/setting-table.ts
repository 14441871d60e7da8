/** A settings schema as a flat table of its keys: for suggestions, for printing, and for the reference page. */
import { z } from 'zod';

export interface SettingRow {
  /** `limits.buildTimeout`; keys of free tables are written as `<name>`. */
  readonly key: string;
  readonly type: string;
  /** As it would be written in TOML. */
  readonly defaultText?: string;
  readonly description: string;
}

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
}

/** Every key that can be set, in the schema's order. */
export function settingRows(schema: z.ZodType): SettingRow[] {
  return rowsOf(jsonSchema(schema), '');
}

/** The keys allowed in the table at `path`; empty where any key is. */
export function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let current: JsonSchema | undefined = jsonSchema(schema);
  for (const part of path)
    current = typeof part === 'number' ? current?.items : current?.properties?.[String(part)];
  return Object.keys(current?.properties ?? {});
}

function jsonSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
}

function rowsOf(schema: JsonSchema, prefix: string): SettingRow[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    if (property.properties !== undefined) return rowsOf(property, key);
    return [
      {
        key: property.type === 'object' ? `${key}.<name>` : key,
        type: typeText(property),
        ...(property.default === undefined ? {} : { defaultText: JSON.stringify(property.default) }),
        description: property.description ?? '',
      },
    ];
  });
}

function typeText(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
  if (schema.type === 'array') return `list of: ${typeText(schema.items ?? {})}`;
  if (schema.type === 'object')
    return typeof schema.additionalProperties === 'object' ? typeText(schema.additionalProperties) : 'table';
  if (schema.type !== 'integer' && schema.type !== 'number') return schema.type ?? 'string';
  const { minimum, maximum } = schema;
  const bounded = minimum !== undefined && minimum > -Number.MAX_SAFE_INTEGER;
  const capped = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (bounded && capped) return `integer, ${minimum} to ${maximum}`;
  return bounded ? `integer, at least ${minimum}` : 'integer';
}
