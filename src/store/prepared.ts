import { type CompiledQuery, type QueryExecutor, sql } from 'kysely';
import type { Db } from './users.ts';

/** Stands for the value while a statement is built; every place where it occurs gets the value. */
const placeholder = Symbol('value');

/**
 * The value as statements get it. SQLite compiles a join anew at each use when a bare bound value is compared in it, since it might
 * plan another way for another value; behind a cast it cannot, which makes the statement ten times as fast.
 */
const values = {
  text: sql<string>`cast(${placeholder} as text)`,
  integer: sql<number>`cast(${placeholder} as integer)`,
};

/** A statement with one value, compiled for the database that will run it. */
export type Prepared<Row> = (db: Db, value: string | number) => CompiledQuery<Row>;

/** Building and compiling a statement costs ten times what SQLite needs to answer it: the checks' statements are compiled once. */
export function prepare<Row, Type extends keyof typeof values>(
  type: Type,
  build: (db: Db, value: (typeof values)[Type]) => { compile(): CompiledQuery<Row> },
): Prepared<Row> {
  const compiled = new WeakMap<QueryExecutor['adapter'], CompiledQuery<Row>>();

  return (db, value) => {
    // Transactions and their database share the adapter, two databases do not.
    const { adapter } = db.getExecutor();
    let statement = compiled.get(adapter);
    if (statement === undefined) {
      statement = build(db, values[type]).compile();
      compiled.set(adapter, statement);
    }
    const parameters = statement.parameters.map((parameter) => (parameter === placeholder ? value : parameter));
    return { ...statement, parameters };
  };
}
