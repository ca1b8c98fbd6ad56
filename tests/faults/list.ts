import { calmFaults } from './calm.ts';
import { clockFaults } from './clocks.ts';
import { databaseFaults } from './database.ts';
import { descriptorFaults } from './descriptors.ts';
import { diskFaults } from './disk-trouble.ts';
import { duoFaults } from './duo.ts';
import { failoverFaults } from './failover.ts';
import { dumpFaults } from './dump.ts';
import { expiryFaults } from './expiry.ts';
import type { Fault } from './fault.ts';
import { fileSystemFaults } from './file-system.ts';
import { fileFaults } from './files.ts';
import { killFaults } from './kill.ts';
import { loadFaults } from './load.ts';
import { memoryFaults } from './memory.ts';
import { powerFaults } from './power.ts';
import { restoreFaults } from './restore.ts';
import { rotationFaults } from './rotation.ts';
import { sizeFaults } from './size.ts';
import { stopFaults } from './stop.ts';
import { twoClockFaults } from './two-clocks.ts';
import { upgradeFaults } from './upgrade.ts';

/** The fault plan, in its order. */
export const faults: readonly Fault[] = [
  ...calmFaults,
  ...killFaults,
  ...powerFaults,
  ...fileFaults,
  ...fileSystemFaults,
  ...diskFaults,
  ...clockFaults,
  ...twoClockFaults,
  ...databaseFaults,
  ...duoFaults,
  ...failoverFaults,
  ...loadFaults,
  ...rotationFaults,
  ...restoreFaults,
  ...dumpFaults,
  ...upgradeFaults,
  ...descriptorFaults,
  ...memoryFaults,
  ...expiryFaults,
  ...sizeFaults,
  ...stopFaults,
].sort((one, other) => one.id.localeCompare(other.id));
