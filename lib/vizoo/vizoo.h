#pragma once

// All that users call. Where compile time matters, include the single headers instead.
#include "vizoo/hub/auto_model.h"
#include "vizoo/hub/from_pretrained.h"
#include "vizoo/hub/save_pretrained.h"
#include "vizoo/models/convnext.h"
#include "vizoo/models/dinat.h"
#include "vizoo/models/dinov2.h"
#include "vizoo/models/levit.h"
#include "vizoo/models/nat.h"
#include "vizoo/models/owlv2/owlv2_detection.h"
#include "vizoo/models/poolformer.h"
#include "vizoo/tasks/image_classification.h"
#include "vizoo/tasks/object_detection.h"
#include "vizoo/tasks/zero_shot_detection.h"
#include "vizoo/text/auto_tokenizer.h"
#include "vizoo/training/detection_loss.h"
#ifdef VIZOO_OPENCV
#include "vizoo/tasks/auto_processor.h"
#include "vizoo/tasks/draw_detections.h"
#include "vizoo/vision/auto_image_processor.h"
#include "vizoo/vision/image.h"
#endif
