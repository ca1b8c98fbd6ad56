import type { CompiledQuery, QueryExecutor } from 'kysely';
import type { Db } from './users.ts';

/** Stands for the value while a statement is built; every place where it occurs gets the value. */
const placeholder = Symbol('value') as never;

/** A statement with one value, compiled for the database that will run it. */
export type Prepared<Row> = (db: Db, value: string | number) => CompiledQuery<Row>;

/** Building and compiling a statement costs ten times what SQLite needs to answer it: the checks' statements are compiled once. */
export function prepare<Row>(build: (db: Db, value: never) => { compile(): CompiledQuery<Row> }): Prepared<Row> {
  const compiled = new WeakMap<QueryExecutor['adapter'], CompiledQuery<Row>>();

  return (db, value) => {
    // Transactions and their database share the adapter, two databases do not.
    const { adapter } = db.getExecutor();
    let statement = compiled.get(adapter);
    if (statement === undefined) {
      statement = build(db, placeholder).compile();
      compiled.set(adapter, statement);
    }
    const parameters = statement.parameters.map((parameter) => (parameter === placeholder ? value : parameter));
    return { ...statement, parameters };
  };
}
