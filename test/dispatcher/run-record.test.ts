import { memoryRunRecord } from '../../packages/dispatcher/src/run-record.ts';
import { runRecordSuite } from '../support/run-record-suite.ts';

runRecordSuite('in memory', async (messages) => memoryRunRecord(messages));
