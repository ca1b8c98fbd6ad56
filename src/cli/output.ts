/** Writes a line for the person at the terminal, or for the program behind the pipe. */
export function printLine(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Writes one JSON document, for `--json`. */
export function printJson(value: unknown): void {
  printLine(JSON.stringify(value, null, 2));
}

/** `1 user`, `2 users`. */
export function countUsers(count: number): string {
  return `${count} user${count === 1 ? '' : 's'}`;
}

/** Writes rows under their headings, in columns as wide as they need to be. */
export function printTable(headings: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = headings.map((heading, index) =>
    Math.max(heading.length, ...rows.map((row) => (row[index] ?? '').length)),
  );
  for (const row of [headings, ...rows]) {
    printLine(
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}

/** `2026-05-07 18:30:00Z`, of whole seconds since 1970. */
export function printInstant(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('T', ' ').replace('.000Z', 'Z');
}

/** Tells whoever waits what is going on; on standard error, since standard output is for the result alone. */
export function printStep(step: string): void {
  process.stderr.write(`${step} …\n`);
}

/** Puts a question to whoever sits there, or to the pipe in their place. @returns whether the answer is `yes` */
export async function confirm(question: string): Promise<boolean> {
  process.stderr.write(`${question}\nGo on? Type yes: `);
  let answer = '';
  for await (const line of console) {
    answer = line.trim().toLowerCase();
    break;
  }
  // A pipe shows no answer that would end the line.
  if (!process.stdin.isTTY) process.stderr.write('\n');
  return answer === 'yes';
}
