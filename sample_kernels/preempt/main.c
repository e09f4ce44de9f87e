/* Five scenes on the small real-time kernel beside this file. What they print depends on priorities and on the
 * order of events only: times are chosen so far apart that the speed of the machine does not matter. */
#include "pc.h"
#include "sync.h"
#include "thread.h"

#define PRIORITY_LOW 2
#define PRIORITY_MIDDLE 3
#define PRIORITY_HIGH 4
#define PRIORITY_URGENT 5
#define PRIORITY_DIRECTOR 9	/* above all: it prepares a whole scene before any part of it runs */

static struct mutex console;
static struct semaphore finished;	/* signalled by each actor that has played its part */
static uint32_t scene_start;		/* ticks */

#define say(...) do { mutex_lock(&console); print(__VA_ARGS__); mutex_unlock(&console); } while (0)

/* Scene 1: created in the wrong order, run by priority. */

static void introduce_itself(void)
{
	say("  %s runs at priority %u\n", current->name, current->priority);
	semaphore_signal(&finished);
}

/* Scene 2: a thread that never gives the processor up loses it to the timer. */

static volatile int stop;

static void spin(void)
{
	say("  spinner: I never yield\n");
	while (!stop)
		;
	say("  spinner: somebody was here\n");
	semaphore_signal(&finished);
}

static void interrupt_spinner(void)
{
	sleep_until(scene_start + 5);
	say("  watcher: woken by the timer\n");
	stop = 1;
	semaphore_signal(&finished);
}

/* Scene 3: a producer, a consumer and a bounded buffer between them. */

#define SLOTS 4
#define ITEMS 8

static unsigned buffer[SLOTS];
static struct semaphore free_slots = { SLOTS }, full_slots;
static char order[2 * ITEMS + 1];	/* P for each item put, C for each taken */
static unsigned order_length;

static void note(char event)
{
	order[order_length++] = event;	/* each part notes before it signals: never two at a time */
}

static void produce(void)
{
	for (unsigned item = 0; item < ITEMS; item++) {
		semaphore_wait(&free_slots);
		buffer[item % SLOTS] = item * item;
		note('P');
		semaphore_signal(&full_slots);
	}
	semaphore_signal(&finished);
}

static void consume(void)
{
	unsigned sum = 0;

	for (unsigned item = 0; item < ITEMS; item++) {
		semaphore_wait(&full_slots);
		sum += buffer[item % SLOTS];
		note('C');
		semaphore_signal(&free_slots);
	}
	say("  order %s, sum of squares %u\n", order, sum);
	semaphore_signal(&finished);
}

/* Scene 4: priority inversion. While `low` holds what `high` wants, `middle` must not run. */

static struct mutex resource;

static void hold_resource(void)
{
	mutex_lock(&resource);
	say("  low: has the resource, at priority %u\n", current->priority);
	work(10);
	say("  low: lets go of it, at priority %u\n", current->priority);
	mutex_unlock(&resource);
	say("  low: goes on, at priority %u\n", current->priority);
	semaphore_signal(&finished);
}

static void want_resource(void)
{
	sleep_until(scene_start + 5);
	mutex_lock(&resource);
	say("  high: has the resource\n");
	mutex_unlock(&resource);
	semaphore_signal(&finished);
}

static void get_in_between(void)
{
	sleep_until(scene_start + 5);
	say("  middle: runs\n");
	semaphore_signal(&finished);
}

/* Scene 5: a periodic thread, and something more urgent that makes it late. A job is released every PERIOD ticks
 * and is due when the next one is released; the disturbance ends midway between two deadlines. */

#define PERIOD 20
#define JOBS 8

static void sample_periodically(void)
{
	unsigned missed = 0;

	for (unsigned job = 0; job < JOBS; job++) {
		uint32_t release = scene_start + job * PERIOD;

		sleep_until(release);
		work(1);
		if ((int32_t)(ticks_now() - (release + PERIOD)) > 0) {
			missed++;
			say("  sampler: job %u is late\n", job);
		} else {
			say("  sampler: job %u is in time\n", job);
		}
	}
	say("  sampler: %u of %u deadlines missed\n", missed, JOBS);
	semaphore_signal(&finished);
}

static void disturb(void)
{
	sleep_until(scene_start + 2 * PERIOD + PERIOD / 2);
	say("  disturbance: begins\n");
	while ((int32_t)(ticks_now() - (scene_start + 5 * PERIOD + PERIOD / 2)) < 0)
		;
	say("  disturbance: ends\n");
	semaphore_signal(&finished);
}

static void await(unsigned actors)
{
	while (actors--)
		semaphore_wait(&finished);
}

static void direct(void)
{
	say("preempt: fixed priorities\n");
	thread_create("low", PRIORITY_LOW, introduce_itself);
	thread_create("middle", PRIORITY_MIDDLE, introduce_itself);
	thread_create("high", PRIORITY_HIGH, introduce_itself);
	await(3);

	say("preempt: preemption by the timer\n");
	scene_start = ticks_now();
	thread_create("spinner", PRIORITY_LOW, spin);
	thread_create("watcher", PRIORITY_HIGH, interrupt_spinner);
	await(2);

	say("preempt: producer and consumer\n");
	thread_create("producer", PRIORITY_HIGH, produce);
	thread_create("consumer", PRIORITY_LOW, consume);
	await(2);

	say("preempt: priority inheritance\n");
	scene_start = ticks_now();
	thread_create("low", PRIORITY_LOW, hold_resource);
	thread_create("middle", PRIORITY_MIDDLE, get_in_between);
	thread_create("high", PRIORITY_HIGH, want_resource);
	await(3);

	say("preempt: deadlines\n");
	scene_start = ticks_now();
	thread_create("sampler", PRIORITY_HIGH, sample_periodically);
	thread_create("disturbance", PRIORITY_URGENT, disturb);
	await(2);

	say("preempt: done\n");
	power_off();
}

void kernel_main(void);

void kernel_main(void)
{
	threads_start("director", PRIORITY_DIRECTOR, direct);
}
