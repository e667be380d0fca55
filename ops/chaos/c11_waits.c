/* Timed waits of C11 for libfaketime, which fakes those of POSIX only (0.9.10).
 *
 * librdkafka waits by cnd_timedwait. Left as it is, the deadline would be an instant of the faked
 * clock and the wait one of the true clock: after a jump of an hour forth each wait of a tenth of
 * a second lasts an hour. In glibc both kinds of conditions are the same thing.
 */
#include <errno.h>
#include <pthread.h>
#include <threads.h>

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *deadline) {
    int result = pthread_cond_timedwait(
        (pthread_cond_t *)condition, (pthread_mutex_t *)mutex, deadline);
    return result == 0 ? thrd_success : result == ETIMEDOUT ? thrd_timedout : thrd_error;
}
