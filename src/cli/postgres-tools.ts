/** What is said where PostgreSQL has a better tool of its own: the command to paste, without the password. */

/** One sentence with the `pg_dump` command for this database. */
export function explainDump(databaseUrl: string, target: string): string {
  const command = `pg_dump --format=custom --file=${quote(target)} ${quote(withoutPassword(databaseUrl))}`;
  return `PostgreSQL is backed up with its own tool, beside running servers: ${command}`;
}

/** One sentence with the `pg_restore` command for this database, and what follows it. */
export function explainRestore(databaseUrl: string, source: string): string {
  const options = '--clean --if-exists --no-owner --single-transaction';
  const command = `pg_restore ${options} --dbname=${quote(withoutPassword(databaseUrl))} ${quote(source)}`;
  return `PostgreSQL is restored with its own tool, while no Cardea server runs: ${command} && cardea restore --in-place`;
}

/** The tools ask for the password, or take it from `PGPASSWORD` or `~/.pgpass`; a command line is no place for it. */
function withoutPassword(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.password = '';
  url.searchParams.delete('password');
  return url.href;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
