/**
 * Reads through a whole SQLite file in a process of its own, and says what it found: the arguments are the path, the answer is one line.
 */
import { Database } from 'bun:sqlite';

process.stdout.write(`${findFlaw(process.argv[2] ?? '')}\n`);

function findFlaw(path: string): string {
  try {
    const file = new Database(path, { readonly: true });
    return String(file.query('pragma quick_check(1)').values()[0]?.[0]).replace(/\s+/g, ' ');
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
