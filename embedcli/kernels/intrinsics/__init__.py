"""Operations on vectors of lanes, as LLVM IR, that kernels are made of."""
