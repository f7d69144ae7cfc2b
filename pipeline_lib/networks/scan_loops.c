/* The selective scan as plain loops: LANES channels at a time, all N states of them in registers.
 *
 * Arrays are time-major: step, u, y, grad [L, R, D], into, out [L, R, N], power and decay [R, N, D],
 * starts [chunks, R, N, D]; D is a multiple of LANES. The compiler is given REAL (float or double),
 * N, STEPS (those of a chunk of the backward pass) and, for float, SINGLE.
 */

#include <math.h>
#include <string.h>

/* What one register holds, so that the states of a channel stay in registers. */
#if defined(__AVX512F__)
#define LANES ((long)(64 / sizeof(REAL)))
#else
#define LANES ((long)(32 / sizeof(REAL)))
#endif

typedef REAL vec
    __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

long scan_lanes(void)
{
    return LANES;
}

static inline vec load(const REAL *from)
{
    return *(const vec *)from;
}

static inline void store(REAL *to, vec x)
{
    *(vec *)to = x;
}

#ifdef SINGLE
typedef int ints __attribute__((vector_size(LANES * sizeof(int)), aligned(sizeof(int))));

/* 2^x for x <= 0: the whole part goes into the exponent, a polynomial gives 2^f of the rest
 * (least relative error on [-1/2, 1/2], 2e-9, with 2^0 exactly 1). */
static inline vec power_of_two(vec x)
{
    const float shift = 0x1.8p23f; /* adding it leaves the nearest whole number in the low bits */
    ints tiny = x < -126.0f;
    vec rounded = x + shift;
    vec f = x - (rounded - shift);
    vec p = 1.5353362e-4f * f + 1.3398874e-3f;
    p = p * f + 9.6184374e-3f;
    p = p * f + 5.5503325e-2f;
    p = p * f + 2.4022648e-1f;
    p = p * f + 6.9314720e-1f;
    p = p * f + 1.0f;
    ints result = (ints)p + ((ints)rounded << 23);
    return (vec)(result & ~tiny);
}
#else
static inline vec power_of_two(vec x)
{
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = exp2(x[lane]);
    return x;
}
#endif

static inline REAL sum_of(vec x)
{
    REAL sum = 0;
    for (int lane = 0; lane < LANES; lane++)
        sum += x[lane];
    return sum;
}

/* One row and LANES channels, all of the time. `starts` may be NULL. */
static void forward_lanes(long L, long R, long D, long row, long channel, const REAL *step,
                          const REAL *u, const REAL *power, const REAL *into, const REAL *out,
                          REAL *y, REAL *starts)
{
    vec h[N], p[N];
    for (int n = 0; n < N; n++) {
        h[n] = (vec){0};
        p[n] = load(power + (row * N + n) * D + channel);
    }
    for (long t = 0; t < L; t++) {
        long at = (t * R + row) * D + channel, states = (t * R + row) * N;
        if (starts && t % STEPS == 0)
            for (int n = 0; n < N; n++)
                store(starts + ((t / STEPS * R + row) * N + n) * D + channel, h[n]);
        vec d = load(step + at), gain = d * load(u + at), sum = {0};
        for (int n = 0; n < N; n++) {
            h[n] = power_of_two(d * p[n]) * h[n] + gain * into[states + n];
            sum += h[n] * out[states + n];
        }
        store(y + at, sum);
    }
}

void scan_forward(long L, long R, long D, int threads, const REAL *step, const REAL *u,
                  const REAL *power, const REAL *into, const REAL *out, REAL *y, REAL *starts)
{
    long blocks = D / LANES;
#pragma omp parallel for num_threads(threads)
    for (long task = 0; task < R * blocks; task++)
        forward_lanes(L, R, D, task / blocks, task % blocks * LANES, step, u, power, into, out, y,
                      starts);
}

/* One row, LANES channels and n steps of one chunk; carried and grad_decay [N, D] of the row. */
static void backward_lanes(long n_steps, long time, long D, const REAL *step, const REAL *u,
                           const REAL *power, const REAL *decay, const REAL *into,
                           const REAL *out, const REAL *start, const REAL *grad, REAL *carried,
                           REAL *grad_step, REAL *grad_u, REAL *grad_decay, vec into_sums[][N],
                           vec out_sums[][N], long states_time)
{
    vec decays[STEPS][N], states[STEPS + 1][N], along_step[STEPS], along_u[STEPS];
    for (int n = 0; n < N; n++) {
        vec p = load(power + n * D), h = load(start + n * D);
        states[0][n] = h;
        for (long t = 0; t < n_steps; t++) {
            vec d = load(step + t * time);
            decays[t][n] = power_of_two(d * p);
            h = decays[t][n] * h + d * load(u + t * time) * into[t * states_time + n];
            states[t + 1][n] = h;
        }
    }
    for (long t = 0; t < n_steps; t++)
        along_step[t] = along_u[t] = (vec){0};
    for (int n = 0; n < N; n++) {
        vec g = load(carried + n * D), sum = load(grad_decay + n * D), a = load(decay + n * D);
        for (long t = n_steps - 1; t >= 0; t--) {
            vec d = load(step + t * time), dy = load(grad + t * time);
            g += dy * out[t * states_time + n];
            out_sums[t][n] += dy * states[t + 1][n];
            into_sums[t][n] += g * d * load(u + t * time);
            along_u[t] += g * into[t * states_time + n];
            g *= decays[t][n];
            vec w = g * states[t][n];
            along_step[t] += w * a;
            sum += w * d;
        }
        store(carried + n * D, g);
        store(grad_decay + n * D, sum);
    }
    for (long t = 0; t < n_steps; t++) {
        store(grad_u + t * time, along_u[t] * load(step + t * time));
        store(grad_step + t * time, along_u[t] * load(u + t * time) + along_step[t]);
    }
}

/* One row and the channels from `first` to before `last`; grad_into, grad_out: [L, N]. */
static void backward_part(long L, long R, long D, long row, long first, long last,
                          const REAL *step, const REAL *u, const REAL *power, const REAL *decay,
                          const REAL *into, const REAL *out, const REAL *starts, const REAL *grad,
                          REAL *carried, REAL *grad_step, REAL *grad_u, REAL *grad_decay,
                          REAL *grad_into, REAL *grad_out)
{
    vec into_sums[STEPS][N], out_sums[STEPS][N];
    for (long chunk = (L - 1) / STEPS; chunk >= 0; chunk--) {
        long from = chunk * STEPS, steps = L - from < STEPS ? L - from : STEPS;
        memset(into_sums, 0, sizeof into_sums);
        memset(out_sums, 0, sizeof out_sums);
        for (long channel = first; channel < last; channel += LANES) {
            long at = (from * R + row) * D + channel, states = (from * R + row) * N;
            long own = row * N * D + channel;
            backward_lanes(steps, R * D, D, step + at, u + at, power + own, decay + own,
                           into + states, out + states, starts + chunk * R * N * D + own,
                           grad + at, carried + own, grad_step + at, grad_u + at,
                           grad_decay + own, into_sums, out_sums, R * N);
        }
        for (long t = 0; t < steps; t++)
            for (int n = 0; n < N; n++) {
                grad_into[(from + t) * N + n] = sum_of(into_sums[t][n]);
                grad_out[(from + t) * N + n] = sum_of(out_sums[t][n]);
            }
    }
}

/* carried and grad_decay [R, N, D] come in as zeros; grad_into, grad_out: [parts, R, L, N]. */
void scan_backward(long L, long R, long D, long parts, int threads, const REAL *step,
                   const REAL *u, const REAL *power, const REAL *decay, const REAL *into,
                   const REAL *out, const REAL *starts, const REAL *grad, REAL *carried,
                   REAL *grad_step, REAL *grad_u, REAL *grad_decay, REAL *grad_into,
                   REAL *grad_out)
{
    long blocks = D / LANES;
#pragma omp parallel for num_threads(threads)
    for (long task = 0; task < parts * R; task++) {
        long part = task / R, row = task % R;
        backward_part(L, R, D, row, blocks * part / parts * LANES,
                      blocks * (part + 1) / parts * LANES, step, u, power, decay, into, out,
                      starts, grad, carried, grad_step, grad_u, grad_decay,
                      grad_into + task * L * N, grad_out + task * L * N);
    }
}
