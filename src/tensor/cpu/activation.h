#ifndef RAGLAN_TENSOR_CPU_ACTIVATION_H
#define RAGLAN_TENSOR_CPU_ACTIVATION_H
/* Activations and their slopes on one vector (vec.h). */
#include "tensor/backend.h"
#include "tensor/cpu/vec.h"

INLINE vf act_value(activation act, vf x) {
    vf bell;
    switch (act) {
    case ACT_RELU:
        return v_max(v_set(0), x);
    case ACT_RELU2:
        x = v_max(v_set(0), x);
        return x * x;
    case ACT_GELU:
        return x * v_normal(x, &bell);
    case ACT_SIGMOID:
        return v_sigmoid(x);
    case ACT_TANH:
        return v_tanh(x);
    default:
        return x;
    }
}

/* Slope at x, where y = act(x). */
INLINE vf act_slope(activation act, vf x, vf y) {
    vf one = v_set(1), zero = v_set(0), phi, bell;
    switch (act) {
    case ACT_RELU:
        return v_choose(v_less(zero, y), one, zero);
    case ACT_RELU2:
        return v_set(2) * v_sqrt(y);
    case ACT_GELU:
        phi = v_normal(x, &bell);
        return v_fma(x * v_set(0.39894228f), bell, phi);
    case ACT_SIGMOID:
        return y * (one - y);
    case ACT_TANH:
        return one - y * y;
    default:
        return one;
    }
}

/* Calls CALL with `act` a constant, so that each loop holds one activation. */
#define FOR_ACTIVATION(act, CALL)                                                                  \
    switch (act) {                                                                                 \
    case ACT_NONE:                                                                                 \
        CALL(ACT_NONE);                                                                            \
        break;                                                                                     \
    case ACT_RELU:                                                                                 \
        CALL(ACT_RELU);                                                                            \
        break;                                                                                     \
    case ACT_RELU2:                                                                                \
        CALL(ACT_RELU2);                                                                           \
        break;                                                                                     \
    case ACT_GELU:                                                                                 \
        CALL(ACT_GELU);                                                                            \
        break;                                                                                     \
    case ACT_SIGMOID:                                                                              \
        CALL(ACT_SIGMOID);                                                                         \
        break;                                                                                     \
    case ACT_TANH:                                                                                 \
        CALL(ACT_TANH);                                                                            \
        break;                                                                                     \
    }

#endif
