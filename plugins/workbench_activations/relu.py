"""The rectified linear unit; relu′(0) = 0. Nair & Hinton (2010)."""

from workbench import Activation

relu = Activation(
    name="relu",
    formula="max(z, 0)",
    kinks=(0.0,),
    description="The rectified linear unit; relu′(0) = 0. Nair & Hinton (2010).",
)
