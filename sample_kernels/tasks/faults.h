/* Exceptions end the task that caused them. Each is handled by a task of its own, so the handler has a stack even where
 * the culprit's was the trouble, and finds all registers of the culprit in its TSS. */
#ifndef FAULTS_H
#define FAULTS_H

void faults_init(void);

#endif
